"""Evaluate models on labeled texts."""
