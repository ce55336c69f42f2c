"""Limits on polling and records in flight, and the circuit breaker that pauses a pipeline."""
