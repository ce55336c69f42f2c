"""Start, join and leave a Ray cluster."""
