"""Metrics for Prometheus: the table of all metrics, and the export of each process's numbers."""
