"""Chaos test of delivery: a pipeline under seeded faults, and a verifier that knows every input."""
