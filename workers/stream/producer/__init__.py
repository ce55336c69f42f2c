"""Produce results and dead letters: producers, send window, refused records and acknowledgements."""
