"""What watches a running system, on a real Prometheus: `make test-monitoring`."""
