"""Deliveries: commit offsets for acknowledged results, at least once or exactly once."""
