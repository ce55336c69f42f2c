"""Choose, commit and log start offsets of partitions whose offset is missing or out of range.

Kafka's own reset policy is off: that policy cannot tell a new group from an added partition or an expired offset.

For `start_from: latest`, the member that owns the first partition decides for all input topics with one commit of all
partitions, and the other members wait. If each member decided for its own partitions, the second member would find
offsets of the first and no longer see a new group. Only a committed decision counts, and the group's generation fences
the commit, so that two members never decide.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaConsumer
from kafka.errors import CommitFailedError, KafkaError, KafkaTimeoutError, RebalanceInProgressError
from kafka.structs import TopicPartition

from labelstream.workers.errors import OffsetOutOfRange, StreamError
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.consumer.assignment import Offsets, as_kafka, log_fields
from labelstream.workers.stream.consumer.membership import Membership
from labelstream.workers.stream.consumer.offset_reset import (
    Log,
    jump_effect,
    next_offset,
    start_effect,
    starts_at_end,
    why_no_offset,
)

logger = logging.getLogger(__name__)
REQUEST_MS = 5_000  # timeout of each request
FORGET_AFTER_MS = 86_400_000  # earliest expiry: old brokers keep offsets of empty groups for a day, new ones a week


@dataclass
class GroupHistory:
    """Kept when a consumer is replaced. `seen`: topics in which this process saw an offset of the group.

    `waited`: this process ran while no input topic existed, so that topics are new and not a new group's backlog.
    """

    seen: set[str] = field(default_factory=set)
    waited: bool = False


class StartOffsets:
    """Seeks and commits with `consumer`. Use from the thread that polls. `history` belongs to the worker.

    `topics`: the input topics that exist now.
    """

    def __init__(
        self,
        consumer: KafkaConsumer,
        settings: PipelineSettings,
        membership: Membership,
        history: GroupHistory,
        topics: Callable[[], Collection[str]],
    ) -> None:
        self._consumer: Any = consumer  # pyright's stubs are of an older client
        self._settings, self._membership, self._history, self._topics = settings, membership, history, topics
        self._waiting = False

    def begin(self, missing: Collection[TopicPartition]) -> Offsets:
        """Start the `missing` partitions, which have no offset. Returns all offsets that were committed.

        Returns an empty dict while undecided: poll, then retry. Raises `StreamError`.
        """
        with _stream_error():
            return self._begin(missing)

    def _begin(self, missing: Collection[TopicPartition]) -> Offsets:
        start_from, history = self._settings.start_from, self._history
        partitions = sorted({*missing, *self._partitions()})
        try:
            committed = self._membership.committed(partitions, REQUEST_MS)
            new = starts_at_end(start_from, committed.values()) and not self._membership.has_offsets(REQUEST_MS)
        except KafkaTimeoutError:  # for example an open transaction with offsets of this group
            logger.info("the group's offsets cannot be read yet; retrying")
            return {}
        seen_before = frozenset(history.seen)
        history.seen |= {tp.topic for tp in committed}
        if new and partitions[0] not in self._consumer.assignment():
            self._wait_for(partitions[0])
            return {}
        # Another member may have committed offsets in the meantime.
        logs = self._logs(partitions if new else [tp for tp in missing if tp not in committed])
        at_end = new and not history.seen and not history.waited
        offsets = {tp: next_offset(log, None, at_end) for tp, log in logs.items()}
        with_offsets = {tp.topic for tp in committed}
        recreated = seen_before - with_offsets
        young = self._young({tp: log for tp, log in logs.items() if tp.topic not in recreated})
        young |= {tp for tp, log in logs.items() if log.end == 0}
        if not self._commit_and_seek(offsets, missing):
            return {}
        by_reason: dict[tuple[str, str, bool], dict[int, Log]] = {}
        for tp, log in logs.items():
            logger.debug(
                "%s:%d starts at offset %d",
                *tp,
                offsets[tp],
                extra=log_fields(tp, offsets[tp]),
            )
            others = "partitions" if tp.topic in with_offsets else "topics" if committed else None
            why = why_no_offset(log, others, tp.topic in recreated, tp in young)
            by_reason.setdefault((tp.topic, why, tp in young), {})[tp.partition] = log
        for (topic, why, harmless), those_logs in by_reason.items():
            level, text = logging.INFO if harmless else logging.WARNING, start_effect(those_logs, at_end, harmless)
            logger.log(level, "%s: %s: it %s", topic, why, text, extra={"topic": topic})
        history.seen |= {tp.topic for tp in logs}
        return offsets

    def _partitions(self) -> Iterator[TopicPartition]:
        """All partitions of the input topics."""
        for topic in self._topics():
            for number in self._consumer.partitions_for_topic(topic) or ():
                yield TopicPartition(topic, number)

    def jump(self, lost: Offsets) -> Offsets:
        """Resume at offsets by `on_offset_out_of_range`. `lost`: this worker's offsets that are not in their logs.

        Returns the committed offsets; empty: poll, then retry. Raises `OffsetOutOfRange`, or `StreamError`.
        """
        if self._settings.on_offset_out_of_range == "fail":
            where = ", ".join(f"{tp.topic}:{tp.partition}:{offset}" for tp, offset in lost.items())
            raise OffsetOutOfRange(
                f"{where} is no longer in the log: messages were deleted before they were "
                "classified; set the group's offset with `labelstream replay -c FILE`, then start again"
            )
        with _stream_error():
            return self._jump(lost, self._settings.on_offset_out_of_range)

    def _jump(self, lost: Offsets, policy: str) -> Offsets:
        logs, at_end = self._logs(lost), policy == "latest"
        offsets = {tp: next_offset(log, None, at_end) for tp, log in logs.items()}
        if not self._commit_and_seek(offsets, lost):
            return {}
        for tp, log in logs.items():
            logger.warning(
                "%s:%d: offset %d is not in the log (%d to %d); on_offset_out_of_range: %s resumes at %d: %s",
                tp.topic,
                tp.partition,
                lost[tp],
                log.start,
                log.end,
                policy,
                offsets[tp],
                jump_effect(log, lost[tp], at_end),
                extra=log_fields(tp, lost[tp]),
            )
        return offsets

    def _logs(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, Log]:
        if not partitions:
            return {}
        asked = list(partitions)
        starts: Mapping[TopicPartition, int] = self._consumer.beginning_offsets(asked, timeout_ms=REQUEST_MS)
        ends: Mapping[TopicPartition, int] = self._consumer.end_offsets(asked, timeout_ms=REQUEST_MS)
        return {tp: Log(starts[tp], max(starts[tp], ends[tp])) for tp in partitions}

    def _young(self, logs: Mapping[TopicPartition, Log]) -> set[TopicPartition]:
        """Return partitions that lost no message and contain none older than FORGET_AFTER_MS."""
        whole = {tp for tp, log in logs.items() if log.start == 0}
        since_ms = int(time.time() * 1_000) - FORGET_AFTER_MS
        asked = {tp: since_ms for tp in whole if logs[tp].messages}
        first = self._consumer.offsets_for_times(asked, timeout_ms=REQUEST_MS) if asked else {}
        return {tp for tp in whole if tp not in asked or (first.get(tp) and first[tp].offset == 0)}

    def _commit_and_seek(self, offsets: Offsets, missing: Collection[TopicPartition]) -> bool:
        """Commit, then seek, so that a restart or another member starts there as well. False during a rebalance."""
        if not offsets:
            return False
        try:
            self._consumer.commit(as_kafka(offsets), timeout_ms=REQUEST_MS)
        except (CommitFailedError, RebalanceInProgressError):
            return False
        for tp in offsets.keys() & set(missing):
            with suppress(ValueError):  # revoked meanwhile: the next owner starts at the committed offset
                self._consumer.seek(tp, offsets[tp])
        return True

    def _wait_for(self, first: TopicPartition) -> None:
        if not self._waiting:
            logger.info(
                "the group is new: the worker that holds %s:%d decides where it starts", first.topic, first.partition
            )
        self._waiting = True


@contextmanager
def _stream_error() -> Iterator[None]:
    try:
        yield
    except KafkaError as error:
        raise StreamError(f"no start offset ({type(error).__name__}: {error})") from error
