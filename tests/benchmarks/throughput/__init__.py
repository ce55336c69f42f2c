"""Throughput measurements, `make bench`, which assert nothing because machines are noisy."""
