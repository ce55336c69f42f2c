"""Loads a model from its source, checks it and describes it."""
