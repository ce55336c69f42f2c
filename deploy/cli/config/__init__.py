"""A first config file."""
