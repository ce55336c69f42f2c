"""Into and out of a topic."""
