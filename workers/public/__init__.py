"""Labelstream: text classification from Kafka to Kafka, on Ray Serve.

The parts are `labelstream.workers` (stream and engine), `labelstream.deploy` (the Serve application and the command)
and `labelstream.schemas` (the payloads).
"""
