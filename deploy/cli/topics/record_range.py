"""Reads a range of a topic's records for `labelstream tail`: the newest, all, or those since a time, and new ones."""

import heapq
from collections import defaultdict, deque
from collections.abc import Iterator
from itertools import islice
from typing import Any

from labelstream.deploy.cli.common.connect import Broker, poll
from labelstream.workers.errors import StartError

BATCH = 500  # records
WIDER = 4  # transactions and compaction leave gaps in the offsets: look further back by this factor
Batch = list[Any]


class RecordRange:
    """The records that exist now in all partitions of `consumer`, which are not paused. Raises StartError."""

    def __init__(self, broker: Broker, consumer: Any) -> None:
        from labelstream.workers.stream.broker.connection import translate_kafka_errors

        self._broker, self._consumer = broker, consumer
        with translate_kafka_errors(broker.settings):
            self._starts: dict[Any, int] = dict(consumer.beginning_offsets(consumer.assignment()))
            self._ends: dict[Any, int] = dict(consumer.end_offsets(consumer.assignment()))

    def start_at(self, since_ms: int) -> None:
        """Leave out the records before this time, in milliseconds since 1970."""
        from labelstream.workers.stream.broker.connection import is_in_memory, translate_kafka_errors

        if is_in_memory(self._broker.config):
            raise StartError("--since: the in-memory broker has no index of times; use --from-beginning")
        with translate_kafka_errors(self._broker.settings):
            found = self._consumer.offsets_for_times(dict.fromkeys(self._starts, since_ms))
        self._starts = {place: self._ends[place] if first is None else first.offset for place, first in found.items()}

    def newest(self, count: int) -> tuple[Batch, bool]:
        """The newest `count` records by their timestamps, and whether there are older ones.

        The records of one partition stay in order.
        """
        found: dict[Any, deque[Any]] = defaultdict(lambda: deque(maxlen=count))
        firsts, window = self._ends, count
        while wanted := [at for at in self._starts if len(found[at]) < count and firsts[at] > self._starts[at]]:
            firsts = firsts | {at: max(self._starts[at], self._ends[at] - window) for at in wanted}
            for at in wanted:
                found[at].clear()
            for record in self._read({at: firsts[at] for at in wanted}):
                found[next(at for at in wanted if at.partition == record.partition)].append(record)
            window *= WIDER
        merged = list(heapq.merge(*found.values(), key=lambda record: record.timestamp))
        has_older = len(merged) > count or any(firsts[at] > self._starts[at] for at in self._starts)
        return merged[len(merged) - min(count, len(merged)) :], has_older

    def all(self) -> Iterator[Batch]:
        """All records, the oldest of each partition first."""
        records = self._read(self._starts)
        while batch := list(islice(records, BATCH)):
            yield batch

    def and_new(self, from_start: bool) -> Iterator[Batch]:
        """All records and new ones (`from_start`), or the new ones alone. Never ends."""
        self._seek(self._starts if from_start else self._ends)
        while True:
            if batch := poll(self._broker, self._consumer):
                yield batch

    def _read(self, firsts: dict[Any, int]) -> Iterator[Any]:
        from labelstream.workers.stream.broker.bounded_reader import read_up_to

        self._seek(firsts)
        return read_up_to(self._broker.settings, self._consumer, {at: self._ends[at] for at in firsts})

    def _seek(self, offsets: dict[Any, int]) -> None:
        for at, offset in offsets.items():
            self._consumer.seek(at, offset)
