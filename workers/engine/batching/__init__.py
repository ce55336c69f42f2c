"""Joins the calls of all workers, cuts them into batches (`lanes.py`) and runs these on the device's thread."""
