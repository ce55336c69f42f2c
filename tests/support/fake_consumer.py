"""A KafkaConsumer whose polls a test fills."""

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from kafka.structs import TopicPartition

from labelstream.workers.stream.consumer.source import RecordSource
from labelstream.workers.stream.consumer.subscription import NEVER


class FakeCluster:
    """The metadata. `update` has other topics, and tells the listeners."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names, self._listeners = set(names), list[Callable[[Any], None]]()
        self.need_all_topic_metadata = False
        self.asked: set[str] = set()
        self.updates = 0

    def topics(self) -> set[str]:
        return self._names

    def set_topics(self, topics: Iterable[str]) -> None:
        self.asked = set(topics)

    def add_listener(self, listener: Callable[[Any], None]) -> None:
        self._listeners.append(listener)
        listener(self)

    def request_update(self) -> None:
        self.updates += 1

    def update(self, *names: str) -> None:
        self._names = set(names)
        for listener in self._listeners:
            listener(self)


class Consumer:
    """Stands in for KafkaConsumer, whose logs hold 40..99. `polled`: what the next poll brings, or raises."""

    def __init__(self) -> None:
        self.polled: Any = {}
        self.timeouts_ms: list[int] = []
        self.stopped: set[TopicPartition] = set()
        self.sought: dict[TopicPartition, int] = {}
        self.committed: dict[TopicPartition, int] = {}
        self.joining = False
        self._coordinator = SimpleNamespace(
            state=None,
            _assignors={},
            _offset_fetch_futures={},
            reset_generation=lambda: None,
            need_rejoin=lambda: self.joining,
            fetch_committed_offsets=lambda partitions, timeout_ms: {},
        )
        self._fetcher = SimpleNamespace(fetched_records=None, _append=None, _parse_fetched_data=None)
        self._subscription = SimpleNamespace(assignment={}, subscribed_pattern=None)
        self._cluster = FakeCluster({"in"})
        self._net = SimpleNamespace(_io_thread=None)

    def hold(self, source: RecordSource, *partitions: TopicPartition) -> None:
        position = SimpleNamespace(position=SimpleNamespace(offset=40))
        self._subscription.assignment = dict.fromkeys(partitions, position)
        source.assignment.on_partitions_assigned(partitions)
        source.poll(0, paused=False)  # in which they begin

    def subscribe(self, pattern: str, listener: Any) -> None:
        assert pattern == NEVER

    def assignment(self) -> set[TopicPartition]:
        return set(self._subscription.assignment)

    def paused(self) -> set[TopicPartition]:
        return set(self.stopped)

    def pause(self, *partitions: TopicPartition) -> None:
        self.stopped |= set(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self.stopped -= set(partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.sought[partition] = offset

    def poll(self, timeout_ms: int, max_records: int | None) -> Any:
        self.timeouts_ms.append(timeout_ms)
        polled, self.polled = self.polled, {}
        if isinstance(polled, Exception):
            raise polled
        return polled

    def commit(self, offsets: dict[TopicPartition, Any], timeout_ms: int) -> None:
        self.committed |= {partition: entry.offset for partition, entry in offsets.items()}

    def commit_async(self, offsets: dict[TopicPartition, Any], callback: Any) -> None:
        self.commit(offsets, 0)
        callback(offsets, None)

    def partitions_for_topic(self, topic: str) -> set[int]:
        return {0, 1}

    def beginning_offsets(self, partitions: list[TopicPartition], timeout_ms: int) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 40)

    def end_offsets(self, partitions: list[TopicPartition], timeout_ms: int) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 100)
