"""What producers are made with: never a record twice, out of order, or given up."""

from contextlib import closing
from typing import Any

import pytest

from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.stream.producer.kafka_producer.client import (
    NEVER_MS,
    make_producer,
    make_transactional_producer,
)
from tests.support.fakes import UNREACHABLE


def kafka(**more: Any) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers="127.0.0.1:1", **more)


def test_producer_neither_repeats_nor_reorders_nor_gives_up() -> None:
    with closing(make_producer(dict(UNREACHABLE), kafka(), [1_048_588])) as producer:
        config = producer.config
    assert (config["acks"], config["enable_idempotence"], config["delivery_timeout_ms"]) == (-1, True, NEVER_MS)
    assert config["max_in_flight_requests_per_connection"] == 1
    assert config["transactional_id"] is None


@pytest.mark.parametrize(
    ("limits", "request_bytes", "batch_bytes"),
    [([1_048_588, 1_048_588], 1_114_124, 131_072), ([5_000_000, 2_000], 5_065_536, 2_000)],
)
def test_sizes_follow_the_topics_limits(limits: list[int], request_bytes: int, batch_bytes: int) -> None:
    """The largest topic's record fits a request; a batch is within the smallest topic's limit."""
    with closing(make_producer(dict(UNREACHABLE), kafka(), limits)) as producer:
        assert (producer.config["max_request_size"], producer.config["batch_size"]) == (request_bytes, batch_bytes)


@pytest.mark.parametrize(("compression", "expected"), [("none", None), ("gzip", "gzip")])
def test_compression_is_the_settings(compression: str, expected: str | None) -> None:
    with closing(make_producer(dict(UNREACHABLE), kafka(compression=compression), [1_000])) as producer:
        assert producer.config["compression_type"] == expected


def test_request_of_a_transaction_takes_a_third_of_its_time() -> None:
    settings = kafka(transaction_timeout_ms=30_000, request_timeout_ms=25_000)
    with closing(make_transactional_producer(dict(UNREACHABLE), settings, [1_000], "g-1")) as producer:
        config = producer.config
    assert (config["transactional_id"], config["transaction_timeout_ms"]) == ("g-1", 30_000)
    assert (config["request_timeout_ms"], config["max_block_ms"]) == (10_000, 30_000)
