"""The stream worker: one turn of its loop (`pipeline.py`), its thread and its restarts (`worker.py`)."""
