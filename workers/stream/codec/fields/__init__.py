"""The parts of a message at their places in a record of any shape."""
