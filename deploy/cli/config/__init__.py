"""Write a first config file."""
