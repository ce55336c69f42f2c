"""The ledger of redrives: a compacted topic beside the dead-letter topic that says which letters were sent again.

Its records are written in the same transaction as what is sent, so one never exists without the other. Key: the dead
letter's topic/partition/offset. The value holds its timestamp too: a topic that was deleted and made anew begins at
offset 0 again, and its letters are others. A tombstone allows the letter to be redriven once more.
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
from labelstream.workers.settings import KafkaSettings
from labelstream.workers.stream.broker.bounded_reader import make_reader, partitions_of, read_up_to
from labelstream.workers.stream.broker.connection import translate_kafka_errors
from labelstream.workers.stream.broker.topics import TOPIC_AUTHORIZATION_FAILED, UNKNOWN_TOPIC, TopicSettings


class RedriveLedger:
    """Which dead letters were redriven. About 200 bytes of memory for each."""

    def __init__(self) -> None:
        self._timestamps: dict[bytes, int] = {}

    def __contains__(self, letter: ConsumerRecord) -> bool:
        return self._timestamps.get(ledger_key(letter)) == letter.timestamp

    def take(self, record: ConsumerRecord) -> None:
        """Note one record of the ledger topic, in its order. What is none of ours counts for nothing."""
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
    """Make sure that the ledger topic is there, is compacted, and may be read and written. True: it was created.

    Raises StartError that says what to do.
    """
    with translate_kafka_errors(kafka), closing(KafkaAdminClient(**config)) as admin:
        found = admin.describe_topics([topic])[0]
        created = found["error_code"] == UNKNOWN_TOPIC
        if created:
            _create(admin, topic)
            found = admin.describe_topics([topic])[0]
        allowed = found["authorized_operations"]  # None where the broker does not tell
        if found["error_code"] == TOPIC_AUTHORIZATION_FAILED or (
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
            f"topic {topic}: its cleanup.policy is {policy}, which would forget the redrives; set it to "
            "compact, for example with kafka-configs.sh --alter --entity-type topics "
            f"--entity-name {topic} --add-config cleanup.policy=compact"
        )
    return created


def read_ledger(config: dict[str, Any], kafka: KafkaSettings, topic: str) -> RedriveLedger:
    """All that is in the ledger topic, which must be there. To be called when no redrive has a transaction open.

    It reads up to the end of the log, not of what is committed: somebody else's open transaction would hide what
    stands behind it. Raises StartError.
    """
    with (
        translate_kafka_errors(kafka),
        closing(make_reader(config)) as consumer,
        closing(KafkaAdminClient(**config)) as admin,
    ):
        partitions = partitions_of(consumer, topic)
        if not partitions:
            raise StartError(f"topic {topic}: the ledger of redrives is not there")
        any_admin: Any = admin  # pyright knows an older client
        ends = any_admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST))
        return _read(kafka, consumer, {partition: end.offset for partition, end in ends.items()})


def peek_ledger(config: dict[str, Any], kafka: KafkaSettings, topic: str) -> RedriveLedger:
    """What is committed to the ledger topic by now; nothing where it does not exist yet. Raises StartError."""
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
        pass  # another redrive was quicker
    except KafkaError as error:
        raise StartError(
            f"topic {topic}: the ledger of redrives cannot be created ({type(error).__name__}); create it "
            "yourself with `labelstream topics create -c FILE`, or kafka-topics.sh --create "
            f"--topic {topic} --partitions 1 --config cleanup.policy=compact"
        ) from None
