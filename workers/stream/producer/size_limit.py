"""How much of a micro-batch fits into the bytes that may be sent now."""

from collections.abc import Sequence

from labelstream.workers.stream.broker.topics import MIN_LETTER_BYTES
from labelstream.workers.stream.codec.encoding.producer_record import RECORD_OVERHEAD, Encoded
from labelstream.workers.stream.micro_batch import Item


def items_within(
    room: int, items: Sequence[Item], encoded: Sequence[Encoded | None], texts_for_review: bool = False
) -> int:
    """Number of first items whose records take `room` bytes at most; at least one. Revoked partitions take none.

    `encoded`: of each item; None for a dead letter or a skipped item. `texts_for_review`: copies have the texts, too.
    """
    for count, (item, result) in enumerate(zip(items, encoded, strict=True)):
        if item.progress.revoked:
            continue
        room -= _dead_letter_size(item) if result is None else result[0].size
        if texts_for_review:
            room -= len(item.record.value or b"")
        if room < 0 and count:
            return count
    return len(items)


def _dead_letter_size(item: Item) -> int:
    """Estimated bytes of the item's dead letter."""
    record = item.record
    size = len(record.value or b"") + len(record.key or b"") + RECORD_OVERHEAD + MIN_LETTER_BYTES
    return size + sum(len(name) + len(value or b"") for name, value in record.headers)
