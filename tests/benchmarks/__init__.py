"""Measurements that need the tests' broker or a Ray of their own."""
