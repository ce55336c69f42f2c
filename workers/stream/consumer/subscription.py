"""Subscription to the input topics that exist: follows topics that appear, and lets deleted topics go.

Behavior of kafka-python 3.0.12, cluster.py and coordinator/consumer.py:

* A pattern is a Python expression, which can take exponential time. Here `match` stands in for the compiled pattern.
* A subscribed topic that is missing is asked for every 100 ms, with an error in the log each time. Metadata of all
  topics has no such error, so the consumer asks for all topics while a named one is missing.
* An empty list of topics is refused. A pattern without a match joins the group without partitions.
* With a pattern, each poll that joins the group first asks for metadata, which takes 100 ms of a poll's JOIN_MS. A join
  that ends meanwhile is discarded, and the group joins again. So the pattern is false for such a poll.

The broker refuses offsets of a deleted topic, and kafka-python repeats such a commit. So the partitions of a deleted
topic count as lost at once: their messages in flight get no result, as the unread ones.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from kafka import KafkaConsumer

from labelstream.workers.records.inputs import InputTopics
from labelstream.workers.stream.consumer.assignment import PartitionAssignment

logger = logging.getLogger(__name__)
NEVER = r"(?!)"  # matches no topic, until `match` takes its place
TELL_S = 3.0


class Subscription:
    """The subscription of `consumer` to `inputs`. `assignment`: listener of the group's assignments.

    `topics`: the input topics that exist, as far as known; `deleted`: topics to `release`. Use from the thread that
    polls. `_follow` and `match` run on the client's IO thread.
    """

    def __init__(
        self,
        consumer: KafkaConsumer,
        inputs: InputTopics,
        assignment: PartitionAssignment,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        any_consumer: Any = consumer
        self._consumer, self._cluster = any_consumer, any_consumer._cluster
        self._inputs, self._assignment, self._clock = inputs, assignment, clock
        self.topics: frozenset[str] = frozenset()
        self.deleted: frozenset[str] = frozenset()
        self._missing: frozenset[str] = frozenset()
        self._updates = 0
        self._missing_since = clock()
        consumer.subscribe(pattern=NEVER, listener=assignment)
        any_consumer._subscription.subscribed_pattern = self
        self._cluster.add_listener(self._follow)
        self._ask_for(all_topics=not inputs.names)

    def __bool__(self) -> bool:
        """Is there a pattern? For a poll that joins the group: not once its topics are known, or do not exist."""
        on_io_thread = threading.current_thread() is self._consumer._net._io_thread
        return on_io_thread or not (self.topics or self.waits())

    def match(self, topic: str) -> bool:
        """Is the consumer to read this topic? A deleted topic that is back is first released, then assigned anew."""
        return topic not in self.deleted and self._inputs.match(topic)

    def release(self) -> None:
        """Forget the deleted topics whose partitions the consumer has released. Call after polls."""
        held = self.deleted & {partition.topic for partition in self._consumer.assignment()}
        if held != self.deleted:
            self.deleted = held
            self._cluster.request_update()

    def waits(self) -> bool:
        """Does no input topic exist? False until the brokers have answered, and for TELL_S more."""
        return not self.topics and self._answered() and self._clock() >= self._missing_since + TELL_S

    def alarms(self) -> dict[str, str]:
        """The alarm for missing topics; empty for TELL_S, in which the brokers may answer."""
        if not self._inputs.names and self.waits():
            return {"input": f"no topic matches {self._inputs.pattern}; the pipeline waits for one"}
        if not self._missing or self._clock() < self._missing_since + TELL_S:
            return {}
        names, how = ", ".join(sorted(self._missing)), "reads the others" if self.topics else "waits"
        return {
            "input": f"input topic {names} does not exist; the pipeline {how}; create it with `labelstream topics "
            "create -c FILE`, or remove it from `input`"
        }

    def _answered(self) -> bool:
        """The first update comes from the connection, and names no topics."""
        return self._updates > 1

    def _follow(self, cluster: Any) -> None:
        """Note which topics exist after an update of the metadata."""
        exist = frozenset(self._inputs.among(cluster.topics()))
        deleted, topics = self.topics - exist, exist - self.deleted
        created, missing = topics - self.topics, frozenset(self._inputs.names) - exist
        self._updates += 1
        if (missing and not self._missing) or (deleted and not topics) or not self._answered():
            self._missing_since = self._clock()
        if deleted:
            self.deleted |= deleted
            self._assignment.drop(deleted)
            logger.warning("input topic %s was deleted: its partitions are given up", ", ".join(sorted(deleted)))
        if created and (self.topics or deleted):
            logger.info("reading topic %s as well", ", ".join(sorted(created)))
        self.topics, self._missing = topics, missing
        self._ask_for(all_topics=bool(missing) or not self._inputs.names)

    def _ask_for(self, all_topics: bool) -> None:
        self._cluster.need_all_topic_metadata = all_topics
        if not all_topics:
            self._cluster.set_topics(self._inputs.names)
