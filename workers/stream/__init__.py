"""One worker, its loop, and what travels in it."""
