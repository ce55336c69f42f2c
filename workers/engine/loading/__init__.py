"""A source becomes a checked model and its description."""
