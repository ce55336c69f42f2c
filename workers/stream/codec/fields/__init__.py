"""Reads a message's parts at the configured places of a record."""
