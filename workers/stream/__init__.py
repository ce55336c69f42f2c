"""One worker, its loop and its restarts (`worker.py`), and what travels in it."""
