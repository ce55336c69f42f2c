"""Redrive ledger: a compacted topic that records which dead letters were redriven.

Each entry is written in one transaction with its redriven record. Key: topic/partition/offset of the dead letter. The
value contains the dead letter's timestamp, because a recreated topic starts at offset 0 again with other dead letters.
A tombstone allows a dead letter to be redriven once more.
"""

import json
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import OffsetSpec  # pyright: ignore[reportAttributeAccessIssue]
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError, TopicAlreadyExistsError

from labelstream.workers.errors import StartError
from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.stream.broker.bounded_reader import make_reader, partitions_of, read_up_to
from labelstream.workers.stream.broker.connection import translate_kafka_errors
from labelstream.workers.stream.broker.topics import TOPIC_AUTHORIZATION_FAILED, UNKNOWN_TOPIC, TopicSettings


class RedriveLedger:
    """Set of redriven dead letters; about 200 bytes of memory each."""

    def __init__(self) -> None:
        self._timestamps: dict[bytes, int] = {}

    def __contains__(self, letter: ConsumerRecord) -> bool:
        return self._timestamps.get(ledger_key(letter)) == letter.timestamp

    def take(self, record: ConsumerRecord) -> None:
        """Add one record of the ledger topic. Call in order; foreign records are ignored."""
        if record.key is None:
            return
        try:
            self._timestamps[record.key] = int(json.loads(record.value)["timestamp_ms"])
        except (TypeError, ValueError, OverflowError, LookupError, RecursionError):
            self._timestamps.pop(record.key, None)


def ledger_topic(dead_letter: str) -> str:
    return f"{dead_letter}.redriven"


def ledger_key(letter: ConsumerRecord) -> bytes:
    return f"{letter.topic}/{letter.partition}/{letter.offset}".encode()


def ledger_value(letter: ConsumerRecord, to: str) -> bytes:
    time = datetime.now(UTC).isoformat(timespec="seconds")
    return json.dumps({"to": to, "time": time, "timestamp_ms": letter.timestamp}).encode()


def ensure_ledger(config: dict[str, Any], kafka: KafkaSettings, topic: str) -> bool:
    """Check that the ledger topic exists, is compacted, and may be read and written. True if the topic was created.

    Raises StartError with the fix.
    """
    with translate_kafka_errors(kafka), closing(KafkaAdminClient(**config)) as admin:
        description = admin.describe_topics([topic])[0]
        created = description["error_code"] == UNKNOWN_TOPIC
        if created:
            _create(admin, topic)
            description = admin.describe_topics([topic])[0]
        allowed = description["authorized_operations"]  # None if the broker does not report rights
        if description["error_code"] == TOPIC_AUTHORIZATION_FAILED or (
            allowed is not None and not {"READ", "WRITE"} <= set(allowed)
        ):
            raise StartError(
                f"topic {topic}: no permission to use it as the ledger of redrives; grant READ, WRITE and "
                "DESCRIBE_CONFIGS on it"
            )
        policy = TopicSettings.read(admin, topic).get("cleanup.policy")
    if policy is None:
        raise StartError(f"topic {topic}: no permission to see whether it is compacted; grant DESCRIBE_CONFIGS on it")
    if policy != "compact":
        raise StartError(
            f"topic {topic}: cleanup.policy is {policy}, which would delete redrive entries; set it to "
            "compact, for example with kafka-configs.sh --bootstrap-server HOST:PORT --alter --entity-type topics "
            f"--entity-name {topic} --add-config cleanup.policy=compact"
        )
    return created


def read_ledger(config: dict[str, Any], kafka: KafkaSettings, topic: str) -> RedriveLedger:
    """The whole ledger topic, which must exist. Call while no redrive has an open transaction.

    Reads up to the end of the log, not the last stable offset: an open transaction of another producer would hide
    entries after it. Raises StartError.
    """
    with (
        translate_kafka_errors(kafka),
        closing(make_reader(config)) as consumer,
        closing(KafkaAdminClient(**config)) as admin,
    ):
        partitions = partitions_of(consumer, topic)
        if not partitions:
            raise StartError(f"topic {topic}: the redrive ledger does not exist")
        any_admin: Any = admin  # pyright's stubs are of an older client
        ends = any_admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST))
        return _read(kafka, consumer, {partition: end.offset for partition, end in ends.items()})


def peek_ledger(config: dict[str, Any], kafka: KafkaSettings, topic: str) -> RedriveLedger:
    """The committed entries of the ledger topic; empty if the topic does not exist. Raises StartError."""
    with translate_kafka_errors(kafka), closing(KafkaAdminClient(**config)) as admin:
        error = admin.describe_topics([topic])[0]["error_code"]
    if error == TOPIC_AUTHORIZATION_FAILED:
        raise StartError(f"topic {topic}: no permission to see which dead letters were redriven; grant READ on it")
    if error == UNKNOWN_TOPIC:
        return RedriveLedger()
    with translate_kafka_errors(kafka), closing(make_reader(config)) as consumer:
        return _read(kafka, consumer, consumer.end_offsets(partitions_of(consumer, topic)))


def _read(kafka: KafkaSettings, consumer: Any, ends: dict[Any, int]) -> RedriveLedger:
    ledger = RedriveLedger()
    consumer.assign(list(ends))
    consumer.seek_to_beginning(*ends)
    for record in read_up_to(kafka, consumer, ends):
        ledger.take(record)
    return ledger


def _create(admin: KafkaAdminClient, topic: str) -> None:
    settings: Any = {"num_partitions": 1, "replication_factor": -1, "configs": {"cleanup.policy": "compact"}}
    try:
        admin.create_topics({topic: settings}, wait_for_metadata=True)  # pyright: ignore[reportCallIssue]
    except TopicAlreadyExistsError:
        pass  # created by another redrive meanwhile
    except KafkaError as error:
        raise StartError(
            f"topic {topic}: the redrive ledger cannot be created ({type(error).__name__}); create it "
            "with `labelstream topics create -c FILE`, or kafka-topics.sh --bootstrap-server "
            f"HOST:PORT --create --topic {topic} --partitions 1 --config cleanup.policy=compact"
        ) from None
