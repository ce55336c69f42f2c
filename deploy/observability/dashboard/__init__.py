"""What watches a running system: the Grafana dashboard's source, and what Prometheus and Grafana read."""
