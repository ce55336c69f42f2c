"""Answers to bytes: results, dead letters and their headers."""
