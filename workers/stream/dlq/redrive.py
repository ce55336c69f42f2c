"""Redrive: choose which dead letters to send again, rebuild their records, and split them into transactions."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Any, NamedTuple

from kafka import KafkaAdminClient

from labelstream.schemas.dead_letter import UNREAD
from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.stream.broker.connection import translate_kafka_errors
from labelstream.workers.stream.broker.topics import DEFAULT_MAX_BYTES, TopicSettings
from labelstream.workers.stream.dlq.dead_letters import DeadLetter, PartitionOffset, record_to_redrive
from labelstream.workers.stream.dlq.ledger import RedriveLedger
from labelstream.workers.stream.dlq.redrive_transactions import Redriven
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
    """A destination of a redrive."""

    topic: str
    partitions: int
    max_bytes: int


class Targets(NamedTuple):
    """Destinations of a redrive: `by_source` has one for each source topic; `to`, if given, takes all dead letters."""

    by_source: Mapping[str, Target]
    to: Target | None = None

    @property
    def max_bytes(self) -> int:
        """Bytes of the largest record that a destination takes."""
        return max(target.max_bytes for target in (*self.by_source.values(), *([self.to] if self.to else [])))


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


def describe_targets(config: dict[str, Any], kafka: KafkaSettings, topics: Sequence[str], to: str | None) -> Targets:
    """Read the destinations, which must exist: `to` if given, else the source topics. Raises StartError."""
    with translate_kafka_errors(kafka), closing(KafkaAdminClient(**config)) as admin:
        found = {
            told["name"]: Target(
                told["name"],
                len(told["partitions"]),
                TopicSettings.read(admin, told["name"]).max_message_bytes() or DEFAULT_MAX_BYTES,
            )
            for told in admin.describe_topics([to] if to else list(topics))
        }
    return Targets({}, found[to]) if to else Targets(found)


def redrive(
    letters: Iterable[DeadLetter],
    targets: Targets,
    ledger: RedriveLedger,
    origins: SourceRecords,
    send: Callable[[list[Redriven]], None],
    report: Report,
    limit: int | None,
) -> None:
    """Pass up to `limit` dead letters to `send`, in chunks. `report` counts sent and refused ones."""
    redriven = islice(_passing(letters, targets, ledger, origins, report), limit)
    for chunk in _chunks(redriven):
        send(chunk)
        report.sent += len(chunk)


def _passing(
    letters: Iterable[DeadLetter], targets: Targets, ledger: RedriveLedger, origins: SourceRecords, report: Report
) -> Iterator[Redriven]:
    for letter in letters:
        made = _judge(letter, targets, ledger, origins)
        if isinstance(made, Refusal):
            report.refuse(made, letter)
        else:
            yield made


def _judge(letter: DeadLetter, targets: Targets, ledger: RedriveLedger, origins: SourceRecords) -> Redriven | Refusal:
    if letter.record in ledger:
        return Refusal.ALREADY
    target = targets.to or targets.by_source.get(letter.topic)
    if target is None:
        return Refusal.ELSEWHERE
    if letter.omitted == UNREAD:
        return Refusal.UNREAD
    original = origins.find(letter) if letter.omitted else letter.record
    if original is None:
        return Refusal.GONE
    # Same partition as the source record: its producer may use another partitioner.
    same_topic = letter.topic == target.topic and 0 <= letter.partition < target.partitions
    made = record_to_redrive(letter, original, letter.partition if same_topic else None)
    return Refusal.TOO_LARGE if made.size > target.max_bytes else Redriven(letter.record, target.topic, made)


def _chunks(redriven: Iterable[Redriven]) -> Iterator[list[Redriven]]:
    chunk: list[Redriven] = []
    size = 0
    for one in redriven:
        chunk.append(one)
        size += one.record.size
        if len(chunk) >= CHUNK_LETTERS or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
