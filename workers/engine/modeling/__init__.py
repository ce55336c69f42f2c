"""Builds a checkpoint by transformers: its shape, its weights, and the torch backend that runs it."""
