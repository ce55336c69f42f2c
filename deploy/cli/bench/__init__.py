"""Measure and simulate."""
