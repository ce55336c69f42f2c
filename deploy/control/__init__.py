"""Who knows everything, decides how many, and passes commands on."""
