"""Parse dead letters, select them, and rebuild the records to redrive.

Uses no Kafka client. Headers are untrusted: no header content raises an error here.
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

from kafka.consumer.fetcher import ConsumerRecord

from labelstream.schemas.dead_letter import (
    ATTEMPTS,
    CONNECT,
    HEADERS_OMITTED,
    KEY_MADE,
    NULL,
    OURS,
    REASON,
    REDRIVEN,
    UNREAD,
    VALUE_OMITTED,
    Reason,
)
from labelstream.workers.stream.codec.encoding.dead_letters import omission
from labelstream.workers.stream.codec.encoding.headers import number_in, own_headers
from labelstream.workers.stream.codec.encoding.producer_record import ProducerRecord
from labelstream.workers.stream.record_batch.unread import Unread

PartitionOffset = tuple[int, int]  # (partition, offset) in the dead-letter topic


class DeadLetter(NamedTuple):
    """A dead letter. `topic`, `partition`, `offset`: its source record; "" and -1 if unknown.

    `omitted`: fingerprint of the value if value or headers were omitted, else "". `key_made`: the key was generated.
    `is_null`: the source record has no value.
    """

    record: ConsumerRecord
    reason: str
    topic: str
    partition: int
    offset: int
    attempts: int
    redriven: int
    omitted: str
    key_made: bool
    is_null: bool

    @classmethod
    def of(cls, record: ConsumerRecord) -> Self:
        texts = {name: (value or b"").decode("utf-8", "backslashreplace") for name, value in record.headers}
        return cls(
            record,
            reason=texts.get(REASON, ""),
            topic=texts.get(f"{CONNECT}topic", ""),
            partition=number_in(record.headers, f"{CONNECT}partition", -1),
            offset=number_in(record.headers, f"{CONNECT}offset", -1),
            attempts=number_in(record.headers, ATTEMPTS),
            redriven=number_in(record.headers, REDRIVEN),
            omitted=_omitted(record, texts.get(VALUE_OMITTED, ""), HEADERS_OMITTED in texts),
            key_made=KEY_MADE in texts,
            is_null=not record.value and (texts.get(REASON) == Reason.TOMBSTONE or texts.get(VALUE_OMITTED) == NULL),
        )

    @property
    def place(self) -> PartitionOffset:
        return self.record.partition, self.record.offset


def _omitted(record: ConsumerRecord, told: str, headers: bool) -> str:
    """The fingerprint; UNREAD if the dead letter itself is unreadable. `headers`: were headers omitted?"""
    if isinstance(record.value, Unread):
        return UNREAD
    if headers and (record.value or told in ("", NULL)):
        return omission(record.value)
    if told == NULL:
        return ""
    return "" if record.value else told


@dataclass(frozen=True)
class Selection:
    """Conditions, which must all hold if given. `since_ms` <= timestamp < `until_ms`."""

    reasons: frozenset[str] = frozenset()
    topic: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    places: frozenset[PartitionOffset] = frozenset()

    def wants(self, letter: DeadLetter) -> bool:
        timestamp = letter.record.timestamp
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (self.topic is None or letter.topic == self.topic)
            and (self.since_ms is None or timestamp >= self.since_ms)
            and (self.until_ms is None or timestamp < self.until_ms)
            and (not self.places or letter.place in self.places)
        )


def record_to_redrive(letter: DeadLetter, original: ConsumerRecord, partition: int | None) -> ProducerRecord:
    """The source record with the attempts so far. `original`: record with the key, value and original headers."""
    return ProducerRecord(
        None if letter.is_null and not original.value else original.value,
        None if letter.key_made and original is letter.record else original.key,
        [
            *own_headers(original, (OURS, CONNECT)),
            (ATTEMPTS, b"%d" % letter.attempts),
            (REDRIVEN, b"%d" % (letter.redriven + 1)),
        ],
        partition,
    )
