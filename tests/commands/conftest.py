"""Broker and topic fixtures of the integration tests."""

from tests.integration.conftest import kafka, make_topic

__all__ = ["kafka", "make_topic"]
