"""What a record weighs while it is in flight."""

from kafka.consumer.fetcher import ConsumerRecord

from labelstream.workers.stream.record_batch.limits import HEADER_BYTES, RECORD_BYTES, weight
from tests.support.pipeline_bench import record


def test_weight_is_of_the_bytes_and_of_the_objects() -> None:
    found = record(0, b"x" * 1_000, b"k" * 10, [("name", b"content"), ("n", b"")])
    assert weight(found) == 1_000 + 10 + len("name" + "content" + "n") + RECORD_BYTES + 2 * HEADER_BYTES


def test_weight_of_what_is_not_there_is_nearly_nothing() -> None:
    """kafka-python tells -1 for the size of a key, value or headers that are none."""
    nothing = ConsumerRecord("in", 0, 0, 0, 0, 0, None, None, [], None, -1, -1, -1)
    assert weight(nothing) == RECORD_BYTES - 3
