"""A model here and now."""
