"""What is wrong with a running pipeline though nothing has failed; looked for by the pipeline's thread."""

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from kafka.structs import TopicPartition

from labelstream.workers.stream.consumer.corrupt_batches import CorruptBatch
from labelstream.workers.stream.consumer.source import RecordSource
from labelstream.workers.stream.monitor import PipelineMonitor
from labelstream.workers.stream.supervision.dead_letter_share import DeadLetterShare

SILENT_S = 10.0
LOOK_S = 0.5


class Standing(NamedTuple):
    """How far a partition is. `behind`: there is something to do, or nobody has told yet."""

    place: str
    done: int
    behind: bool


class StallDetector:
    """Which partitions have had something to do for `timeout_s`, and have done nothing? Pure."""

    def __init__(self, timeout_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._timeout_s, self._clock = timeout_s, clock
        self._moved: dict[str, tuple[int | None, float]] = {}

    def stalled(self, partitions: Iterable[Standing]) -> list[str]:
        """The places of those; what is not in `partitions` is forgotten."""
        now, before = self._clock(), self._moved
        self._moved = {}
        for place, done, behind in partitions:
            at = done if behind else None
            then, since = before.get(place, (None, now))
            self._moved[place] = (at, since if behind and then == at else now)
        return [place for place, (_, since) in self._moved.items() if now - since >= self._timeout_s]


class Watch:
    """The alarms of one run of a pipeline, whose names are in the texts' commands."""

    def __init__(
        self,
        name: str,
        monitor: PipelineMonitor,
        source: RecordSource,
        dead_share: DeadLetterShare,
        stall_timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._monitor, self._source, self._dead_share = name, monitor, source, dead_share
        self._stall_timeout_s, self._stalls = stall_timeout_s, StallDetector(stall_timeout_s, clock)
        self._clock, self._look_at = clock, clock()

    def look(self) -> dict[str, str] | None:
        """All that is wrong now, by what it is about; None when it is not yet time to look again."""
        now = self._clock()
        if now < self._look_at:
            return None
        self._look_at = now + LOOK_S
        breaker, halted = self._monitor.breaker, self._source.halted()
        alarms = {f"halt {_place(partition)}": self._halt(partition, batch) for partition, batch in halted.items()}
        if breaker.held is not None:
            alarms["breaker"] = f"{breaker.alarm}; `labelstream resume {self._name}` lets them pass"
        if too_many := self._dead_share.alarm():
            alarms["dead letters"] = f"{too_many}; `labelstream dlq list {self._name}` shows them"
        alarms |= {
            f"pause {model}": f"{text}, or on `labelstream resume {self._name}`"
            for model, text in self._monitor.troubles().items()
        }
        for owing, seconds in self._monitor.awaited().items():
            if seconds > SILENT_S:
                what = "does not acknowledge" if owing.startswith("topic") else "gives no answer"
                alarms[owing] = f"{owing} {what} for more than {SILENT_S:g} s; the stream waits for it"
        alarms |= self._monitor.obstacles()
        for place in self._stalls.stalled(() if self._monitor.paused() else self._standings()):
            alarms[f"stall {place}"] = f"{place} has made no progress for more than {self._stall_timeout_s:g} s"
        return alarms

    def _standings(self) -> list[Standing]:
        return [
            Standing(_place(progress.partition), progress.done, self._source.lag.behind(progress) != 0)
            for progress in self._source.assignment.assigned()
            if progress.halted is None
        ]

    def _halt(self, partition: TopicPartition, batch: CorruptBatch) -> str:
        place = _place(partition)
        behind = "OFFSET" if batch.end is None else batch.end
        where = f"from offset {batch.first} on" if batch.end is None else f"offsets {batch.first} to {batch.end - 1}"
        return (
            f"corrupt batch at {place}, {where} ({batch.problem}): the partition is halted; "
            f"`labelstream skip {self._name} {place}:{behind}` goes on behind it"
        )


def _place(partition: TopicPartition) -> str:
    return f"{partition.topic}:{partition.partition}"
