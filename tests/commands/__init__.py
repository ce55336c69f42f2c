"""Commands as users type them, on a real Kafka and a real Ray: `make test-docs`."""
