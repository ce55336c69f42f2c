"""The payloads of messages, results and dead letters, as pydantic models."""
