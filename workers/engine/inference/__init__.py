"""Runs batches of sequences through a backend in forwards, and finds the sequence that makes a forward fail."""
