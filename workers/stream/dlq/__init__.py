"""Queries and redrives dead letters for the command `labelstream dlq`, apart from the worker."""
