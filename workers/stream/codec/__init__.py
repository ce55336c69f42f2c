"""Bytes to messages, answers to bytes; no Kafka client."""
