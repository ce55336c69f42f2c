"""Are a pipeline's topics there, may we use them, and how large may a record be? Asked before the stream starts."""

import logging
import re
from collections.abc import Iterable
from contextlib import closing
from functools import reduce
from typing import Any, NamedTuple

from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError

from labelstream.workers.errors import StartError
from labelstream.workers.settings import KafkaSettings, PipelineSettings
from labelstream.workers.stream.broker.connection import is_in_memory, translate_kafka_errors
from labelstream.workers.stream.broker.group_permission import check_group
from labelstream.workers.stream.codec.timestamps import NO_LIMIT_MS, Window

logger = logging.getLogger(__name__)
UNKNOWN_TOPIC, TOPIC_AUTHORIZATION_FAILED = 3, 29
TOPIC_NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")
DEFAULT_MAX_BYTES = 1_048_588  # Kafka's default of max.message.bytes
MIN_LETTER_BYTES = 2_000


class TopicLimits(NamedTuple):
    """What the topics that are written to take: `max.message.bytes` of each, in `keyed` those that need keys.

    `window`: of timestamps, what output and review both take and keep.
    """

    output: int = DEFAULT_MAX_BYTES
    dead_letter: int = DEFAULT_MAX_BYTES
    review: int = DEFAULT_MAX_BYTES
    keyed: frozenset[str] = frozenset()
    window: Window = Window()

    def sizes(self) -> tuple[int, int, int]:
        """In bytes."""
        return self.output, self.dead_letter, self.review


def check_topics(
    config: dict[str, Any], kafka: KafkaSettings, name: str, pipeline: PipelineSettings, group: str
) -> TopicLimits:
    """Raises `StartError` naming the key when a topic is missing, or it or the group cannot serve its purpose.

    `config`: a `connected_config`. Where the broker does not let us read a topic's settings, Kafka's defaults are
    assumed; a record that the broker then refuses is a dead letter all the same.
    """
    if is_in_memory(config):
        with translate_kafka_errors(kafka):
            make_in_memory(config, topics_of(pipeline).values())
        return TopicLimits()
    with translate_kafka_errors(kafka), closing(KafkaAdminClient(**config)) as admin:
        partitions = {
            key: _partitions(admin, f"pipelines.{name}.{key}", topic) for key, topic in topics_of(pipeline).items()
        }
        if pipeline.output_partition == "same" and partitions["output"] < partitions["input"]:
            # Topics grow in any order while the stream runs as well: what is missing is waited for.
            logger.warning(
                "pipelines.%s.output_partition: same needs as many partitions in %s (%d) as in %s (%d); the "
                "stream waits for the missing ones when it comes to them; add partitions",
                name,
                pipeline.output,
                partitions["output"],
                pipeline.input,
                partitions["input"],
            )
        check_group(admin, f"pipelines.{name}.group_id", group)
        return _limits(admin, f"pipelines.{name}", pipeline)


def topics_of(pipeline: PipelineSettings) -> dict[str, str]:
    """Its topics by their keys in the config, the input first."""
    topics = {"input": pipeline.input, "output": pipeline.output, "dead_letter": pipeline.dead_letter}
    return topics if pipeline.review is None else topics | {"review": pipeline.review}


def written_topics(pipeline: PipelineSettings) -> list[str]:
    """All of its topics that it writes to: output, dead letters, and review where there is one."""
    return list(topics_of(pipeline).values())[1:]


def _partitions(admin: KafkaAdminClient, key: str, topic: str) -> int:
    """How many partitions the topic has. Raises `StartError` when it is missing or we may not do what `key` needs."""
    found = admin.describe_topics([topic])[0]
    needed = "READ" if key.endswith(".input") else "WRITE"
    allowed = found["authorized_operations"]  # None where the broker does not tell
    if found["error_code"] == TOPIC_AUTHORIZATION_FAILED or (allowed is not None and needed not in allowed):
        raise StartError(f"{key}: no permission to {needed.lower()} topic {topic}; grant {needed} and DESCRIBE on it")
    if found["error_code"]:
        raise StartError(
            f"{key}: topic {topic} does not exist; create it, for example with "
            f"kafka-topics.sh --create --topic {topic} --partitions 6"
        )
    return len(found["partitions"])


def max_message_bytes(admin: KafkaAdminClient, topic: str) -> int | None:
    """The topic's `max.message.bytes`; None where the broker does not let us read it."""
    value = topic_setting(admin, topic, "max.message.bytes")
    return None if value is None else int(value)


def is_compacted(admin: KafkaAdminClient, topic: str) -> bool | None:
    """Does the topic take no record without a key? None where the broker does not let us read it."""
    value = topic_setting(admin, topic, "cleanup.policy")
    return None if value is None else "compact" in value


def retention_ms(admin: KafkaAdminClient, topic: str) -> int | None:
    """The age at which the topic deletes a record; NO_LIMIT_MS where age deletes none, None where it is unknown."""
    policy, value = (topic_setting(admin, topic, name) for name in ("cleanup.policy", "retention.ms"))
    if policy is None or value is None:
        return None
    return NO_LIMIT_MS if int(value) < 0 or "delete" not in policy else int(value)


def topic_setting(admin: KafkaAdminClient, topic: str, name: str) -> str | None:
    """One of the topic's settings; None where the broker does not let us read it."""
    try:
        # Pyright knows an older client. Without the filter only what differs from the default is told.
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, [name])  # pyright: ignore
        answer: Any = admin.describe_configs([resource], config_filter="all")  # pyright: ignore
        return str(answer["topic"][topic][name]["value"])
    except (KafkaError, LookupError, TypeError) as error:
        logger.info("%s of %s is unknown (%s)", name, topic, type(error).__name__)
        return None


def make_in_memory(config: dict[str, Any], topics: Iterable[str]) -> None:
    """Topics of the in-memory broker, which makes one when somebody first asks for it. Raises kafka's own errors."""
    with closing(KafkaProducer(**config)) as producer:
        for topic in topics:
            producer.partitions_for(topic)


def _limits(admin: KafkaAdminClient, key: str, pipeline: PipelineSettings) -> TopicLimits:
    topics = written_topics(pipeline)
    known = [max_message_bytes(admin, topic) for topic in topics]
    sizes = [DEFAULT_MAX_BYTES if size is None else size for size in known]
    keyed = frozenset(topic for topic in topics if is_compacted(admin, topic))
    window = Window()
    if pipeline.output_timestamp == "input":
        for topic in topics:
            window = window if topic == pipeline.dead_letter else window.within(_window(admin, topic))
    limits = TopicLimits(*sizes, keyed=keyed, window=window)
    if limits.dead_letter < MIN_LETTER_BYTES:
        raise StartError(
            f"{key}.dead_letter: topic {pipeline.dead_letter} takes {limits.dead_letter} bytes a message, "
            f"less than a dead letter's headers have; raise its max.message.bytes to at least "
            f"{MIN_LETTER_BYTES}"
        )
    return limits


def _window(admin: KafkaAdminClient, topic: str) -> Window:
    """Which timestamps the topic takes, and does not delete at once."""
    before = [topic_setting(admin, topic, "message.timestamp.before.max.ms"), retention_ms(admin, topic)]
    after = topic_setting(admin, topic, "message.timestamp.after.max.ms")
    limits = [Window(before_ms=int(value)) for value in before if value is not None and int(value) >= 0]
    if after is not None:
        limits.append(Window(after_ms=int(after)))
    return reduce(Window.within, limits, Window())
