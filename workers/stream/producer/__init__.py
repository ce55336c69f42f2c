"""Produce results and dead letters: producers, output topics, refused records and acknowledgements."""
