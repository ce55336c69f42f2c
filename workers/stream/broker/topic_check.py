"""Start check of a pipeline's topics and group: rights, partitions, sizes, cleanup and retention."""

import logging
from contextlib import closing
from logging import CRITICAL, ERROR, INFO, WARNING
from typing import Any

from kafka import KafkaAdminClient

from labelstream.workers.errors import StartError
from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.broker.connection import is_in_memory, translate_kafka_errors
from labelstream.workers.stream.broker.finding import Finding
from labelstream.workers.stream.broker.group_check import group_findings
from labelstream.workers.stream.broker.topics import (
    DEFAULT_MAX_BYTES,
    MIN_LETTER_BYTES,
    UNKNOWN_TOPIC,
    TopicLimits,
    TopicSettings,
    access_problem,
    make_in_memory,
    named_topics,
    outputs_of,
    topics_read,
)
from labelstream.workers.stream.codec.timestamps import NO_LIMIT_MS, Window

logger = logging.getLogger(__name__)


def check_topics(
    config: dict[str, Any], kafka: KafkaSettings, name: str, pipeline: PipelineSettings, group: str
) -> TopicLimits:
    """Check topics and group. Raises `StartError` for the first finding that prevents a start; logs other findings.

    `config`: a `connected_config`. Assumes Kafka's defaults for settings that may not be read; a record that the broker
    then refuses becomes a dead letter.
    """
    if is_in_memory(config):
        with translate_kafka_errors(kafka):
            make_in_memory(config, named_topics(pipeline))
        return TopicLimits()
    with translate_kafka_errors(kafka), closing(KafkaAdminClient(**config)) as admin:
        check = TopicCheck(admin, name, pipeline, group)
    for finding in check.findings:
        if finding.level == CRITICAL:
            raise StartError(str(finding))
        logger.log(finding.level, "%s", finding)
    return check.limits()


class TopicCheck:
    """Reads from the brokers once with `admin`, a KafkaAdminClient. Raises KafkaError.

    `findings`: first of the topics in the order of the config, then of the group.
    """

    def __init__(self, admin: Any, name: str, pipeline: PipelineSettings, group: str) -> None:
        self._key, self._pipeline, self._topics = f"pipelines.{name}", pipeline, outputs_of(pipeline)
        self.findings: list[Finding] = []
        inputs = topics_read(admin, pipeline)
        described = {found["name"]: found for found in admin.describe_topics([*inputs, *self._topics.values()])}
        self._partitions: dict[str, int] = {}  # by topic
        self._settings = {topic: TopicSettings() for topic in described}
        self._look_at_inputs(admin, [described[topic] for topic in inputs])
        for key, topic in self._topics.items():
            self._look(admin, key, described[topic], "WRITE")
        self._inputs = [topic for topic in inputs if topic in self._partitions]
        self._check_partitions()
        self._check_sizes()
        for key in self._topics:
            self._check_cleanup(key)
        if pipeline.output_timestamp == "input":
            for key in sorted(self._topics.keys() - {"dead_letter"}):
                self._check_retention(key)
        self.findings += group_findings(admin, f"{self._key}.group_id", group)

    def limits(self) -> TopicLimits:
        """Limits of the written topics."""
        written = {key: self._settings[topic] for key, topic in self._topics.items()}
        window = Window()
        if self._pipeline.output_timestamp == "input":
            for key in written.keys() - {"dead_letter"}:
                window = window.within(written[key].window())
        sizes = {key: settings.max_message_bytes() or DEFAULT_MAX_BYTES for key, settings in written.items()}
        return TopicLimits(
            sizes["output"],
            sizes["dead_letter"],
            sizes.get("review", DEFAULT_MAX_BYTES),
            routes={self._topics[key]: size for key, size in sizes.items() if key.startswith("route.")},
            keyed=frozenset(self._topics[key] for key, settings in written.items() if settings.is_compacted()),
            window=window,
        )

    def _look_at_inputs(self, admin: Any, described: list[dict[str, Any]]) -> None:
        """Describe the input topics. Of several named ones, the pipeline reads those that exist."""
        if not described:
            text = f"no topic matches {self._pipeline.inputs.pattern}; the pipeline waits until one is created"
            self._add("input", text, WARNING)
        some_exist = any(not found["error_code"] for found in described)
        for found in described:
            missing = ERROR if some_exist and found["error_code"] == UNKNOWN_TOPIC else CRITICAL
            self._look(admin, "input", found, "READ", missing)

    def _look(self, admin: Any, key: str, found: dict[str, Any], right: str, level: int = CRITICAL) -> None:
        """Describe one topic and check its rights."""
        topic = found["name"]
        if not found["error_code"]:
            self._partitions[topic] = len(found["partitions"])
            self._settings[topic] = TopicSettings.read(admin, topic)
        if problem := access_problem(found, right):
            self._add(key, problem, level)
        elif found["authorized_operations"] is None:
            self._add(key, f"the broker does not tell whether this client may {right.lower()} topic {topic}", INFO)
        if not found["error_code"] and not self._settings[topic]:
            text = f"the settings of topic {topic} cannot be read (DESCRIBE_CONFIGS is missing): Kafka's default of"
            self._add(key, f"{text} max.message.bytes is assumed, cleanup.policy and retention.ms are unchecked", INFO)

    def _add(self, key: str, text: str, level: int = CRITICAL) -> None:
        self.findings.append(Finding(f"{self._key}.{key}", text, level))

    def _check_partitions(self) -> None:
        largest = max(self._inputs, key=lambda topic: self._partitions[topic], default="")
        read, total = self._partitions.get(largest, 0), sum(self._partitions[topic] for topic in self._inputs)
        for key in self._topics.keys() - {"dead_letter", "review"}:
            written = self._partitions.get(self._topics[key], 1 << 30)
            if self._pipeline.output_partition == "same" and written < read:
                # No CRITICAL finding, because topics may grow in any order: a worker waits for missing partitions.
                text = (
                    f"same needs as many partitions in {self._topics[key]} ({written}) as in {largest} "
                    f"({read}); the pipeline waits when a result needs a missing one; add partitions"
                )
                self._add("output_partition", text, ERROR)
        if 0 < total < self._pipeline.workers.max:
            has = f"topic {largest} has" if len(self._inputs) == 1 else "the input topics have"
            text = f"{self._pipeline.workers.max}, but {has} only {total} partitions: the other workers would be idle"
            self._add("workers", text, INFO)

    def _check_sizes(self) -> None:
        """A dead letter contains the whole input record, so its topic should accept what the input topic accepts."""
        taken = self._settings[self._pipeline.dead_letter].max_message_bytes() or 0
        offered = max((self._settings[topic].max_message_bytes() or 0 for topic in self._inputs), default=0)
        says = f"topic {self._pipeline.dead_letter} takes {taken} bytes a message"
        if 0 < taken < MIN_LETTER_BYTES:
            text = f"{says}, less than a dead letter's headers have; raise its max.message.bytes to {MIN_LETTER_BYTES}"
            self._add("dead_letter", f"{text} at least")
        elif 0 < taken < offered:
            text = f"{says}, the input topic {offered}: the values of larger dead letters would be left out; raise its"
            self._add("dead_letter", f"{text} max.message.bytes", INFO)

    def _check_cleanup(self, key: str) -> None:
        """A compacted topic requires keys and keeps one record of each key."""
        if self._settings[self._topics[key]].is_compacted():
            means = "each message without a key becomes a dead letter"
            if key in ("dead_letter", "review"):
                means = "a record without a key gets a generated key"
            text = (
                f"topic {self._topics[key]} is compacted (cleanup.policy): it keeps the last record of each key, and "
                f"{means}; give each message a key of its own, or set cleanup.policy=delete"
            )
            self._add(key, text, INFO)

    def _check_retention(self, key: str) -> None:
        """Results have their input's timestamp, and topics delete by timestamp."""
        kept_ms = self._settings[self._topics[key]].retention_ms()
        longest, offered_ms = max(
            ((topic, kept) for topic in self._inputs if (kept := self._settings[topic].retention_ms()) is not None),
            key=lambda entry: entry[1],
            default=("", None),
        )
        own_time = self._settings[self._topics[key]].get("message.timestamp.type") == "LogAppendTime"
        if kept_ms is not None and offered_ms is not None and kept_ms < offered_ms and not own_time:
            offer = "for good" if offered_ms >= NO_LIMIT_MS else f"for {_span(offered_ms)}"
            text = (
                f"topic {self._topics[key]} keeps records for {_span(kept_ms)} (retention.ms), the input topic "
                f"{longest} {offer}: results of older messages would be deleted at once, and get the "
                "current time instead of their message's; raise retention.ms, or set output_timestamp: now"
            )
            self._add(key, text, INFO)


def _span(milliseconds: int) -> str:
    """A duration in the largest unit that divides it."""
    for size, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")):
        if milliseconds >= size and milliseconds % size == 0:
            return f"{milliseconds // size} {unit}"
    return f"{milliseconds} ms"
