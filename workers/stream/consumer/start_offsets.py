"""Partitions without an offset, or with one that is not in their log: where they go on is decided, committed and told.

Kafka's own reset policy is off: it tells a new group from neither an added partition nor an expired offset.

`start_from: latest` is decided for the whole topic at once, by the member that holds the first partition, with one
commit of all partitions. The other members wait for it. If each decided for its own partitions, the second one would
find offsets of the first one and no longer take the group for a new one. A decision counts only when it is committed;
the group's generation fences the commit, so that there are never two who decide.
"""

import logging
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer
from kafka.errors import CommitFailedError, KafkaError, KafkaTimeoutError, RebalanceInProgressError
from kafka.structs import TopicPartition

from labelstream.workers.errors import OffsetOutOfRange, StreamError
from labelstream.workers.settings import PipelineSettings
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
REQUEST_MS = 5_000  # of each of the requests that a start needs
FORGET_AFTER_MS = 86_400_000  # brokers keep the offsets of a group without members for a week, old ones for a day


@dataclass
class GroupHistory:
    """`seen`: this process has seen the group have an offset in the input. It outlives consumers, not the process."""

    seen: bool = False


class StartOffsets:
    """Moves `consumer`, on the thread that polls it. `history` is the worker's."""

    def __init__(
        self, consumer: KafkaConsumer, settings: PipelineSettings, membership: Membership, history: GroupHistory
    ) -> None:
        self._consumer: Any = consumer  # pyright's stubs are of an older client
        self._settings, self._membership, self._history = settings, membership, history
        self._waiting = False

    def begin(self, missing: Collection[TopicPartition]) -> Offsets:
        """Let partitions of ours that have no offset begin. The offsets that were committed, of others' as well.

        Empty when it is not decided yet: poll, then try again. Raises `StreamError`.
        """
        with _stream_error():
            return self._begin(missing)

    def _begin(self, missing: Collection[TopicPartition]) -> Offsets:
        numbers = self._consumer.partitions_for_topic(self._settings.input)
        places = sorted({*missing, *(TopicPartition(self._settings.input, number) for number in numbers)})
        try:
            committed = self._membership.committed(places, REQUEST_MS)
        except KafkaTimeoutError:  # a transaction with offsets of this group is open, for example
            logger.info("the offsets of the group cannot be read yet")
            return {}
        self._history.seen = self._history.seen or bool(committed)
        new = starts_at_end(self._settings.start_from, committed.values())
        if new and places[0] not in self._consumer.assignment():
            self._wait_for(places[0])
            return {}
        # Some may have got their offset since they were found to have none.
        logs = self._logs(places if new else [place for place in missing if place not in committed])
        at_end = new and not self._history.seen
        offsets = {place: next_offset(found, None, at_end) for place, found in logs.items()}
        anew = self._history.seen and not committed
        young = self._young(logs) if not anew else {place for place, found in logs.items() if found.end == 0}
        if not self._go_on(offsets, missing):
            return {}
        alike: dict[tuple[str, bool], dict[int, Log]] = {}
        for place, found in logs.items():
            logger.debug("%s:%d starts at offset %d", *place, offsets[place], extra=log_fields(place, offsets[place]))
            why = why_no_offset(found, bool(committed), self._history.seen, place in young)
            alike.setdefault((why, place in young), {})[place.partition] = found
        for (why, harmless), some in alike.items():
            level = logging.INFO if harmless else logging.WARNING
            text, topic = start_effect(some, at_end, harmless), self._settings.input
            logger.log(level, "%s: %s: it %s", topic, why, text, extra={"topic": topic})
        self._history.seen = True
        return offsets

    def jump(self, lost: Offsets) -> Offsets:
        """Let partitions of ours whose offsets `lost` are not in their logs go on as `on_offset_out_of_range` says.

        The offsets that were committed; empty: poll, then try again. Raises `OffsetOutOfRange`, or `StreamError`.
        """
        if self._settings.on_offset_out_of_range == "fail":
            where = ", ".join(f"{place.topic}:{place.partition}:{offset}" for place, offset in lost.items())
            raise OffsetOutOfRange(
                f"{where} is no longer in the log: messages were deleted before they were "
                "classified; set the group's offset with `labelstream replay`, then start again"
            )
        with _stream_error():
            return self._jump(lost, self._settings.on_offset_out_of_range)

    def _jump(self, lost: Offsets, policy: str) -> Offsets:
        logs, at_end = self._logs(lost), policy == "latest"
        offsets = {place: next_offset(found, None, at_end) for place, found in logs.items()}
        if not self._go_on(offsets, lost):
            return {}
        for place, found in logs.items():
            logger.warning(
                "%s:%d: offset %d is not in the log, which goes from %d to %d; on_offset_out_of_range: %s goes "
                "on at %d: %s",
                place.topic,
                place.partition,
                lost[place],
                found.start,
                found.end,
                policy,
                offsets[place],
                jump_effect(found, lost[place], at_end),
                extra=log_fields(place, lost[place]),
            )
        return offsets

    def _logs(self, places: Collection[TopicPartition]) -> dict[TopicPartition, Log]:
        if not places:
            return {}
        asked = list(places)
        starts: Mapping[TopicPartition, int] = self._consumer.beginning_offsets(asked, timeout_ms=REQUEST_MS)
        ends: Mapping[TopicPartition, int] = self._consumer.end_offsets(asked, timeout_ms=REQUEST_MS)
        return {place: Log(starts[place], max(starts[place], ends[place])) for place in places}

    def _young(self, logs: Mapping[TopicPartition, Log]) -> set[TopicPartition]:
        """Those that hold no message, and have lost none, as old as an offset that the brokers have forgotten."""
        whole = {place for place, found in logs.items() if found.start == 0}
        since_ms = int(time.time() * 1_000) - FORGET_AFTER_MS
        asked = {place: since_ms for place in whole if logs[place].messages}
        first = self._consumer.offsets_for_times(asked, timeout_ms=REQUEST_MS) if asked else {}
        return {place for place in whole if place not in asked or (first.get(place) and first[place].offset == 0)}

    def _go_on(self, offsets: Offsets, ours: Collection[TopicPartition]) -> bool:
        """Commit first, so that neither a restart nor another member moves it. False when a rebalance is in the way."""
        if not offsets:
            return False
        try:
            self._consumer.commit(as_kafka(offsets), timeout_ms=REQUEST_MS)
        except (CommitFailedError, RebalanceInProgressError):
            return False
        for place in offsets.keys() & set(ours):
            with suppress(ValueError):  # taken away just now: the next owner goes on there
                self._consumer.seek(place, offsets[place])
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
