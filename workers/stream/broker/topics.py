"""A pipeline's topics: names, descriptions and limits for written records."""

import re
from collections.abc import Iterable, Mapping
from contextlib import closing
from functools import reduce
from types import MappingProxyType
from typing import Any, NamedTuple, Self

from kafka import KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, for_code

from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.codec.timestamps import NO_LIMIT_MS, Window

UNKNOWN_TOPIC, TOPIC_AUTHORIZATION_FAILED = 3, 29
TOPIC_NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")
DEFAULT_MAX_BYTES = 1_048_588  # Kafka's default of max.message.bytes
MIN_LETTER_BYTES = 2_000  # size of a dead letter without its value
SETTINGS = (
    "max.message.bytes",
    "cleanup.policy",
    "retention.ms",
    "message.timestamp.type",
    "message.timestamp.before.max.ms",
    "message.timestamp.after.max.ms",
)


class TopicLimits(NamedTuple):
    """Limits of the written topics: `max.message.bytes` of each, and `keyed`: topics that require keys.

    `window`: timestamps that both output and review accept and retain.
    """

    output: int = DEFAULT_MAX_BYTES
    dead_letter: int = DEFAULT_MAX_BYTES
    review: int = DEFAULT_MAX_BYTES
    keyed: frozenset[str] = frozenset()
    window: Window = Window()
    routes: Mapping[str, int] = MappingProxyType({})

    def sizes(self) -> tuple[int, ...]:
        """Sizes of output, dead-letter, review and route topics in bytes."""
        return self.output, self.dead_letter, self.review, *self.routes.values()


def outputs_of(pipeline: PipelineSettings) -> dict[str, str]:
    """The topics that the pipeline writes, by their keys in the config: output, dead letters, review and route."""
    topics = {"output": pipeline.output, "dead_letter": pipeline.dead_letter}
    if pipeline.review is not None:
        topics["review"] = pipeline.review
    for place, rule in enumerate(pipeline.route):
        if rule.topic is not None and rule.topic not in topics.values():
            topics[f"route.{place}.topic"] = rule.topic
    return topics


def written_topics(pipeline: PipelineSettings) -> list[str]:
    """The topics that the pipeline writes: output, dead letters, and those of review and route."""
    return list(outputs_of(pipeline).values())


def named_topics(pipeline: PipelineSettings) -> list[str]:
    """The topics that the config names, the inputs first."""
    return [*pipeline.inputs.names, *written_topics(pipeline)]


def topics_read(admin: Any, pipeline: PipelineSettings) -> list[str]:
    """The topics that the pipeline reads now: those that it names, or those of the cluster that match its pattern.

    `admin`: a KafkaAdminClient. Raises KafkaError.
    """
    inputs = pipeline.inputs
    return list(inputs.names) or inputs.among(admin.list_topics())


def access_problem(description: Mapping[str, Any], right: str) -> str | None:
    """Why the topic described by `describe_topics` cannot be used; None if usable. `right`: READ or WRITE."""
    topic, code = description["name"], description["error_code"]
    allowed = description["authorized_operations"]  # None if the broker does not report rights
    if code == UNKNOWN_TOPIC:
        return (
            f"topic {topic} does not exist; create it with `labelstream topics create -c FILE`, or "
            f"kafka-topics.sh --bootstrap-server HOST:PORT --create --topic {topic} --partitions 6"
        )
    if code == TOPIC_AUTHORIZATION_FAILED:  # brokers also return this for missing topics
        return f"no permission to see topic {topic}; create it if it is missing, and grant {right} on it"
    if code:
        return f"topic {topic} cannot be used ({for_code(code).__name__}); look at the brokers' logs"
    if allowed is not None and right not in allowed:
        return f"no permission to {right.lower()} topic {topic}; grant {right} on it"
    return None


class TopicSettings(dict[str, str]):
    """A topic's settings, read once; empty if they may not be read."""

    @classmethod
    def read(cls, admin: Any, topic: str) -> Self:
        try:
            # pyright's stubs are of an older client. Without the filter, only non-default values are returned.
            resource = ConfigResource(ConfigResourceType.TOPIC, topic, list(SETTINGS))  # pyright: ignore
            answer = admin.describe_configs([resource], config_filter="all")["topic"][topic]
            return cls({name: str(told["value"]) for name, told in answer.items() if told["value"] is not None})
        except (KafkaError, LookupError, TypeError):
            return cls()

    def number(self, name: str) -> int | None:
        return int(self[name]) if name in self else None

    def max_message_bytes(self) -> int | None:
        return self.number("max.message.bytes")

    def is_compacted(self) -> bool:
        """Does the topic require keys, as far as known?"""
        return "compact" in self.get("cleanup.policy", "")

    def retention_ms(self) -> int | None:
        """Age in ms at which the topic deletes a record: NO_LIMIT_MS without a limit, None if unknown."""
        policy, kept_ms = self.get("cleanup.policy"), self.number("retention.ms")
        if policy is None or kept_ms is None:
            return None
        return NO_LIMIT_MS if kept_ms < 0 or "delete" not in policy else kept_ms

    def window(self) -> Window:
        """Timestamps that the topic accepts and does not delete at once."""
        before = (self.number("message.timestamp.before.max.ms"), self.retention_ms())
        after = self.number("message.timestamp.after.max.ms")
        limits = [Window(before_ms=limit) for limit in before if limit is not None and limit >= 0]
        if after is not None:
            limits.append(Window(after_ms=after))
        return reduce(Window.within, limits, Window())


def make_in_memory(config: dict[str, Any], topics: Iterable[str]) -> None:
    """Create topics on the in-memory broker, which creates a topic on first use. Raises KafkaError."""
    with closing(KafkaProducer(**config)) as producer:
        for topic in topics:
            producer.partitions_for(topic)
