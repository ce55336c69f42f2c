"""Bytes to messages, or the reason why not (`decode*.py`); answers and dead letters to records (`encode*.py`)."""
