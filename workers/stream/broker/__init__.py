"""Kafka broker access: connections, topic and group checks, positions, backlog and single records."""
