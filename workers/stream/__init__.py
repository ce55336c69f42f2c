"""The stream worker: consume, submit, produce and commit one micro-batch after another (`worker.py`)."""
