"""Alarm rules: conditions of a running pipeline that need a person but stop nothing."""

import time
from collections.abc import Callable

from kafka.structs import TopicPartition

from labelstream.workers.stream.consumer.assignment import partition_name
from labelstream.workers.stream.consumer.fetching import CorruptBatch
from labelstream.workers.stream.consumer.source import RecordSource
from labelstream.workers.stream.supervision.dead_letter_share import DeadLetterShare
from labelstream.workers.stream.supervision.pipeline_monitor import PipelineMonitor
from labelstream.workers.stream.supervision.stall_detector import StallDetector

INTERVAL_S = 0.5


class AlarmRules:
    """The alarms of one run. `name`: the pipeline, for the commands in the texts. Use from the pipeline's thread.

    `peers`: how long models and topics may be silent; `partitions`: how long a partition may make no progress.
    """

    def __init__(
        self,
        name: str,
        monitor: PipelineMonitor,
        source: RecordSource,
        dead_share: DeadLetterShare,
        peers: StallDetector,
        partitions: StallDetector,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._monitor, self._source, self._dead_share = name, monitor, source, dead_share
        self._peers, self._partitions = peers, partitions
        self._clock, self._next_at = clock, clock()

    def evaluate(self) -> dict[str, str] | None:
        """All current alarms: texts by subject. None until INTERVAL_S after the last evaluation."""
        now = self._clock()
        if now < self._next_at:
            return None
        self._next_at = now + INTERVAL_S
        monitor, breaker = self._monitor, self._monitor.breaker
        halted = self._source.halted()
        alarms = {
            f"halt {partition_name(partition)}": self._halt(partition, batch) for partition, batch in halted.items()
        }
        if breaker.is_open:
            alarms["breaker"] = f"{breaker.alarm}; repair the model, or run `labelstream resume {self._name}`"
        if too_many := self._dead_share.alarm():
            alarms["dead letters"] = f"{too_many}; see `labelstream dlq list -c FILE {self._name}`"
        alarms |= {
            f"pause {model}": f"{text}, or on `labelstream resume {self._name}`"
            for model, text in monitor.troubles().items()
        }
        for peer, idle_s in monitor.awaited().items():
            if self._peers.warns(idle_s):
                what = "acknowledged" if peer.startswith("topic") else "answered"
                alarms[peer] = f"{peer} has not {what} for more than {self._peers.warn_s:g} s; the pipeline waits"
        alarms |= monitor.obstacles() | self._source.subscription.alarms()
        for place, idle_s in self._partitions.idle_s({} if monitor.paused() else self._behind()).items():
            if self._partitions.warns(idle_s):
                alarms[f"stall {place}"] = f"{place} has made no progress for more than {self._partitions.warn_s:g} s"
        return alarms

    def _behind(self) -> dict[str, int]:
        """Records done of each partition that has a lag or an unknown lag, by partition."""
        return {
            progress.name: progress.done
            for progress in self._source.assignment.assigned()
            if progress.halted is None and self._source.lag.behind(progress) != 0
        }

    def _halt(self, partition: TopicPartition, batch: CorruptBatch) -> str:
        place = partition_name(partition)
        behind = "OFFSET" if batch.end is None else batch.end
        where = f"from offset {batch.first} on" if batch.end is None else f"offsets {batch.first} to {batch.end - 1}"
        return (
            f"corrupt batch at {place}, {where} ({batch.problem}): the partition is halted; "
            f"`labelstream skip {self._name} {place}:{behind}` resumes behind the batch"
        )
