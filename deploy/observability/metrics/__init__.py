"""What a Prometheus gets to see: one table of metrics, and how the numbers of each process get there."""
