"""Ray started, joined and left."""
