"""Batches of rows through a backend, and which row is to blame."""
