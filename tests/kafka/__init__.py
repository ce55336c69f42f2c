"""A real Apache Kafka broker on loopback, for the tests and for people (`python -m tests.kafka`, `make kafka`)."""

from .broker import Broker, BrokerError, KafkaBroker

__all__ = ["Broker", "BrokerError", "KafkaBroker"]
