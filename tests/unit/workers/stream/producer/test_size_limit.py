"""How many records go out together."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from labelstream.workers.stream.codec.encoding.producer_record import Encoded, ProducerRecord
from labelstream.workers.stream.consumer.assignment import PartitionProgress
from labelstream.workers.stream.micro_batch import Item
from labelstream.workers.stream.producer.size_limit import items_within
from tests.support.pipeline_bench import A, record

BIG = 10_000


def item(value: bytes = b"x" * 100, headers: Any = (), revoked: bool = False) -> Item:
    return Item(record(0, value, b"k", headers), PartitionProgress(A, revoked=revoked))


def result(size: int = 100) -> Encoded:
    return ProducerRecord(b"v" * size, b"k", []), "out"


@given(st.lists(st.integers(0, 500), min_size=1, max_size=20), st.integers(0, 5_000))
def test_first_items_fit_and_the_next_one_does_not(sizes: list[int], room: int) -> None:
    encoded = [result(size) for size in sizes]
    count = items_within(room, [item() for _ in sizes], encoded)
    bytes_ = [one.size for one, _ in encoded]
    assert count == 1 or sum(bytes_[:count]) <= room
    assert count == len(sizes) or sum(bytes_[: count + 1]) > room


def test_revoked_partitions_take_no_room() -> None:
    items = [item(), item(b"x" * BIG, revoked=True), item()]
    assert items_within(2 * result()[0].size, items, [result(), None, result()]) == 3


def test_dead_letter_has_the_whole_record() -> None:
    items = [item(), item(b"x" * BIG, [("h", b"y" * BIG)]), item()]
    assert items_within(2 * BIG, items, [result(), None, result()]) == 1
    assert items_within(3 * BIG, items, [result(), None, result()]) == 3


def test_texts_for_review_take_room() -> None:
    items = [item(), item(b"x" * BIG)]
    assert items_within(BIG, items, [result(), result()]) == 2
    assert items_within(BIG, items, [result(), result()], texts_for_review=True) == 1
