"""Runs batches of sequences through a backend, and finds the sequence that makes a batch fail."""
