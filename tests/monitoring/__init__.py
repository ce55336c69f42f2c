"""Tests of metrics, alert rules and dashboard on a real Prometheus: `make test-monitoring`."""
