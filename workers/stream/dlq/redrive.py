"""Redrive: choose which dead letters to send again, rebuild their records, and split them into transactions."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Any, NamedTuple

from kafka import KafkaAdminClient

from labelstream.schemas.dead_letter import UNREAD
from labelstream.workers.settings import KafkaSettings
from labelstream.workers.stream.broker.connection import translate_kafka_errors
from labelstream.workers.stream.broker.topics import DEFAULT_MAX_BYTES, TopicSettings
from labelstream.workers.stream.codec.encode import ProducerRecord
from labelstream.workers.stream.dlq.dead_letters import DeadLetter, PartitionOffset, record_to_redrive
from labelstream.workers.stream.dlq.ledger import RedriveLedger
from labelstream.workers.stream.dlq.redrive_transactions import Pair
from labelstream.workers.stream.dlq.source_records import SourceRecords

CHUNK_LETTERS, CHUNK_BYTES = 500, 8 * 1024 * 1024  # limits of one transaction
EXAMPLES = 5  # dead letters named for each refusal


class Refusal(StrEnum):
    """Why a dead letter is not redriven."""

    ALREADY = "redriven already"
    ELSEWHERE = "made of another topic's records (--to sends them)"
    GONE = "value or headers omitted, and the source record is gone"
    UNREAD = "unreadable; `labelstream replay -c FILE` reads the input again from there"
    TOO_LARGE = "too large for the topic"


class Target(NamedTuple):
    """Destination of a redrive. `home`: required source topic of the dead letters; None: any."""

    topic: str
    partitions: int
    max_bytes: int
    home: str | None


@dataclass
class Report:
    """Counts of a redrive. `sent`: committed records."""

    sent: int = 0
    refused: Counter[Refusal] = field(default_factory=Counter)
    examples: dict[Refusal, list[PartitionOffset]] = field(default_factory=dict)

    def refuse(self, refusal: Refusal, letter: DeadLetter) -> None:
        self.refused[refusal] += 1
        examples = self.examples.setdefault(refusal, [])
        if len(examples) < EXAMPLES:
            examples.append(letter.place)


def describe_target(config: dict[str, Any], kafka: KafkaSettings, topic: str, home: str | None) -> Target:
    """Read the destination topic, which must exist. Raises StartError."""
    with translate_kafka_errors(kafka), closing(KafkaAdminClient(**config)) as admin:
        partitions = len(admin.describe_topics([topic])[0]["partitions"])
        return Target(
            topic, partitions, TopicSettings.read(admin, topic).max_message_bytes() or DEFAULT_MAX_BYTES, home
        )


def redrive(
    letters: Iterable[DeadLetter],
    target: Target,
    ledger: RedriveLedger,
    origins: SourceRecords,
    send: Callable[[list[Pair]], None],
    report: Report,
    limit: int | None,
) -> None:
    """Pass up to `limit` dead letters to `send`, in chunks. `report` counts sent and refused ones."""
    pairs = islice(_passing(letters, target, ledger, origins, report), limit)
    for chunk in _chunks(pairs):
        send(chunk)
        report.sent += len(chunk)


def _passing(
    letters: Iterable[DeadLetter], target: Target, ledger: RedriveLedger, origins: SourceRecords, report: Report
) -> Iterator[Pair]:
    for letter in letters:
        made = _judge(letter, target, ledger, origins)
        if isinstance(made, Refusal):
            report.refuse(made, letter)
        else:
            yield letter.record, made


def _judge(
    letter: DeadLetter, target: Target, ledger: RedriveLedger, origins: SourceRecords
) -> ProducerRecord | Refusal:
    if letter.record in ledger:
        return Refusal.ALREADY
    if target.home is not None and letter.topic != target.home:
        return Refusal.ELSEWHERE
    if letter.omitted == UNREAD:
        return Refusal.UNREAD
    original = origins.find(letter) if letter.omitted else letter.record
    if original is None:
        return Refusal.GONE
    # Same partition as the source record: its producer may use another partitioner.
    same_topic = letter.topic == target.topic and 0 <= letter.partition < target.partitions
    made = record_to_redrive(letter, original, letter.partition if same_topic else None)
    return Refusal.TOO_LARGE if made.size() > target.max_bytes else made


def _chunks(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    chunk: list[Pair] = []
    size = 0
    for pair in pairs:
        chunk.append(pair)
        size += pair[1].size()
        if len(chunk) >= CHUNK_LETTERS or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
