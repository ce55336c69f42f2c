"""Records out, a micro-batch at a time."""
