"""Shared by tests: fakes, models, and helpers for a real broker."""
