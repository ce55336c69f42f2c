"""What the topics take that are written to, as far as is known, and what a result has to be for them."""

import logging
import time
from collections.abc import Sequence

from kafka.errors import KafkaError

from labelstream.workers.settings import PipelineSettings
from labelstream.workers.stream.broker.topics import TopicLimits
from labelstream.workers.stream.codec.encode import ProducerRecord, made_key, too_large
from labelstream.workers.stream.codec.rejection import Rejection
from labelstream.workers.stream.codec.timestamps import window_told_by
from labelstream.workers.stream.micro_batch import Item
from labelstream.workers.stream.producer.produced_batch import TopicPartitionOffset, place_of
from labelstream.workers.stream.producer.send_errors import for_its_key, keyless, not_taken

logger = logging.getLogger(__name__)
MAX_REFUSALS = 10_000  # that are kept


class TopicRules:
    """Begins with the topics' settings, where they could be read, and learns from each refusal. Used by one thread."""

    def __init__(self, name: str, settings: PipelineSettings, limits: TopicLimits) -> None:
        self._name, self._settings, self._limits = name, settings, limits
        self._keyed, self._window = set(limits.keyed), limits.window
        self._refusals: dict[tuple[str, TopicPartitionOffset], list[KafkaError]] = {}

    def refused(self, topic: str, item: Item, record: ProducerRecord, error: KafkaError) -> None:
        """`topic` did not take `record`, made of `item`. What that says of keys and timestamps is known for all now."""
        window = window_told_by(error, time.time() * 1000)
        if record.key is None and for_its_key(error):
            logger.warning("pipeline %s: topic %s is compacted and takes no record without a key", self._name, topic)
            self._keyed.add(topic)
        elif window is not None and record.timestamp_ms is not None:
            self._window = self._window.within(window)
        else:
            self._refusals.setdefault((topic, place_of(item)), []).append(error)
            if len(self._refusals) > MAX_REFUSALS:
                del self._refusals[next(iter(self._refusals))]

    def refusals(self, topic: str, item: Item) -> Sequence[KafkaError]:
        """What `topic` said to records made of `item`, but for their keys and timestamps."""
        return self._refusals.get((topic, place_of(item)), ())

    def keyed(self, topic: str) -> bool:
        """Does it take no record without a key?"""
        return topic in self._keyed

    def obstacle(self, item: Item, result: ProducerRecord, review: str | None) -> Rejection | None:
        """Why the result cannot go out: its size, its key, or what the broker said. `review`: if it goes there."""
        output, bytes_ = self._settings.output, len(result.value or b"")
        if result.size() > (self._limits.output if review is None else min(self._limits.output, self._limits.review)):
            return too_large(bytes_, item.model)
        if result.key is None and output in self._keyed:
            return keyless(output, item.model)
        for topic in (output, review) if self._refusals else ():
            if topic is not None and (errors := self.refusals(topic, item)):
                return not_taken(topic, errors[-1], bytes_, item.model)
        return None

    def in_time(self, result: ProducerRecord) -> ProducerRecord:
        """With the time of sending where its timestamp is none, or none that the topics take."""
        timestamp_ms = result.timestamp_ms
        if timestamp_ms is None or self._window.takes(timestamp_ms, time.time() * 1000):
            return result
        return result._replace(timestamp_ms=None)

    def to_review(self, topic: str, item: Item, result: ProducerRecord) -> ProducerRecord:
        """With a key of ours where the topic takes none without."""
        key = made_key(item.record) if result.key is None and topic in self._keyed else result.key
        return self.in_time(result)._replace(key=key, partition=None)
