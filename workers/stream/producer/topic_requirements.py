"""Limits of the output topics: record size, keys and timestamps, learned from settings and refusals."""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace

from kafka.errors import KafkaError

from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.broker.topics import TopicLimits
from labelstream.workers.stream.codec.encoding.dead_letters import made_key
from labelstream.workers.stream.codec.encoding.producer_record import ProducerRecord
from labelstream.workers.stream.codec.rejection import Rejection
from labelstream.workers.stream.codec.timestamps import error_window
from labelstream.workers.stream.micro_batch import Item
from labelstream.workers.stream.producer.produced_batch import TopicPartitionOffset, place_of
from labelstream.workers.stream.producer.send_errors import is_missing_key, missing_key, refused_result, too_large

logger = logging.getLogger(__name__)
MAX_REFUSALS = 10_000  # refused records kept


class TopicRequirements:
    """Starts with the topics' settings if readable, and learns from refusals. Use from one thread."""

    def __init__(self, name: str, settings: PipelineSettings, limits: TopicLimits) -> None:
        self._name, self._settings, self._limits = name, settings, limits
        self._keyed, self._window = set(limits.keyed), limits.window
        self._refusals: dict[tuple[str, TopicPartitionOffset], list[KafkaError]] = {}

    def refused(self, topic: str, item: Item, record: ProducerRecord, error: KafkaError) -> None:
        """Learn that `topic` refused `record` of `item`; a missing key or wrong timestamp applies to all records."""
        window = error_window(error, time.time() * 1000)
        if record.key is None and is_missing_key(error):
            logger.warning("pipeline %s: topic %s is compacted and requires keys", self._name, topic)
            self._keyed.add(topic)
        elif window is not None and record.timestamp_ms is not None:
            self._window = self._window.within(window)
        else:
            self._refusals.setdefault((topic, place_of(item)), []).append(error)
            if len(self._refusals) > MAX_REFUSALS:
                del self._refusals[next(iter(self._refusals))]

    def refusals(self, topic: str, item: Item) -> Sequence[KafkaError]:
        """Errors of `topic` for records of `item`, except for missing keys and wrong timestamps."""
        return self._refusals.get((topic, place_of(item)), ())

    def keyed(self, topic: str) -> bool:
        """Does `topic` require keys?"""
        return topic in self._keyed

    def obstacle(self, item: Item, result: ProducerRecord, target: str | None, review: str | None) -> Rejection | None:
        """Why a topic refuses the result: size, key, or an earlier error; None if accepted.

        `target`: the topic that gets the result, `review`: the topic of its copy; None for no such record.
        """
        bytes_, limits = len(result.value or b""), self._limits
        if (target is not None and result.size > limits.routes.get(target, limits.output)) or (
            review is not None and result.size > limits.review
        ):
            return too_large(bytes_, item.model)
        if result.key is None and target is not None and target in self._keyed:
            return missing_key(target, item.model)
        for topic in (target, review) if self._refusals else ():
            if topic is not None and (errors := self.refusals(topic, item)):
                return refused_result(topic, errors[-1], bytes_, item.model)
        return None

    def with_valid_timestamp(self, result: ProducerRecord) -> ProducerRecord:
        """`result`, with the current time instead of a timestamp that is invalid or refused."""
        timestamp_ms = result.timestamp_ms
        if timestamp_ms is None or self._window.takes(timestamp_ms, time.time() * 1000):
            return result
        return replace(result, timestamp_ms=None)

    def to_review(self, topic: str, item: Item, result: ProducerRecord) -> ProducerRecord:
        """`result` for the review topic, with a generated key if the topic requires one."""
        key = made_key(item.record) if result.key is None and topic in self._keyed else result.key
        return replace(self.with_valid_timestamp(result), key=key, partition=None)
