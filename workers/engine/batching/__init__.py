"""Joins the calls of all workers into batches, and runs the batches on the device's thread."""
