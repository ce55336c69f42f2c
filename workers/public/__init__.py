"""Labelstream: text classification from Kafka to Kafka, on Ray Serve; `labelstream.workers` holds the stream and the
engine, `labelstream.deploy` the Serve application and the command, `labelstream.schemas` the payloads."""
