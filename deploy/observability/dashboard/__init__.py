"""Source of the Grafana dashboard."""
