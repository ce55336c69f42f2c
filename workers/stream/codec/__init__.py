"""Decodes records to messages or rejections (`decode*.py`); encodes results and dead letters (`encode*.py`)."""
