"""Benchmark a model, and simulate the autoscaling."""
