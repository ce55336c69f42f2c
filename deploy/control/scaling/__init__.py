"""Decides how many replicas each model and how many workers each pipeline gets: readings -> estimate -> policy."""
