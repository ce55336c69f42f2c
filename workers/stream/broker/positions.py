"""Read a consumer group's positions from the brokers: committed offsets, log ends and lag."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from kafka.admin import OffsetSpec  # pyright: ignore[reportAttributeAccessIssue] (its stubs are of an older client)
from kafka.errors import CoordinatorNotAvailableError, GroupAuthorizationFailedError
from kafka.protocol.consumer import IsolationLevel
from kafka.structs import TopicPartition

from labelstream.workers.errors import StartError
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.broker.bounded_reader import make_reader
from labelstream.workers.stream.broker.group_check import COORDINATOR_TRIES, COORDINATOR_WAIT_S
from labelstream.workers.stream.broker.topics import UNKNOWN_TOPIC, access_problem, topics_read
from labelstream.workers.stream.consumer.offset_reset import Log, StartFrom, next_offset, starts_at_end

FETCH_BYTES = 16_384  # for one record of each partition
READ_S = 5.0


class Position(NamedTuple):
    """A group in one partition. `log`: as read_committed readers see it; `committed`: None without an offset.

    `next`: the offset to read next.
    """

    log: Log
    committed: int | None
    next: int

    @property
    def lag(self) -> int:
        """Messages that are not done, counted by offsets."""
        return max(0, self.log.end - self.next)

    @property
    def lost(self) -> int:
        """Messages that retention deleted before they were done."""
        return 0 if self.committed is None else max(0, self.log.start - self.committed)


def positions(
    logs: Mapping[TopicPartition, Log], committed: Mapping[TopicPartition, int | None], at_end: bool
) -> dict[TopicPartition, Position]:
    """Positions by partition. `committed`: None without an offset; then the log's end if `at_end`, else its start."""
    return {
        place: Position(log, committed[place], next_offset(log, committed[place], at_end))
        for place, log in logs.items()
    }


def read_positions(admin: Any, pipeline: PipelineSettings, group: str) -> dict[TopicPartition, Position]:
    """Positions in all partitions that the pipeline reads now. `admin`: a KafkaAdminClient.

    Raises StartError if all named topics are missing, or a right on a topic or the group; otherwise KafkaError.
    """
    places = partitions_read(admin, topics_read(admin, pipeline))
    committed = _first_asked(admin, group, places)
    at_end = group_starts_at_end(admin, group, pipeline.start_from, committed)
    return positions(logs_of(admin, places), committed, at_end)


def partitions_read(admin: Any, topics: Sequence[str]) -> list[TopicPartition]:
    """All partitions of the topics, sorted. Missing topics have none, unless all are missing. Raises StartError."""
    described = admin.describe_topics(list(topics)) if topics else []
    problems = {
        told["error_code"]: problem for told in described if (problem := access_problem(told, "DESCRIBE")) is not None
    }
    if problems and (problems.keys() != {UNKNOWN_TOPIC} or all(told["error_code"] for told in described)):
        raise StartError(next(iter(problems.values())))
    return sorted(
        TopicPartition(told["name"], part["partition_index"]) for told in described for part in told["partitions"]
    )


def group_starts_at_end(
    admin: Any, group: str, start_from: StartFrom, committed: Mapping[TopicPartition, int | None]
) -> bool:
    """`starts_at_end`, with the group's offsets in all topics. Raises KafkaError."""
    if not starts_at_end(start_from, committed.values()):
        return False
    everywhere = admin.list_group_offsets({group: None})[group]
    return not any(entry.offset >= 0 for entry in everywhere.values())


def _first_asked(admin: Any, group: str, places: list[TopicPartition]) -> dict[TopicPartition, int | None]:
    """`committed_offsets` with retries: for the first group ever, the broker must create a topic."""
    for _ in range(COORDINATOR_TRIES):
        try:
            return committed_offsets(admin, group, places)
        except GroupAuthorizationFailedError:
            raise StartError(f"no permission to see group {group}; grant DESCRIBE on it") from None
        except CoordinatorNotAvailableError:
            time.sleep(COORDINATOR_WAIT_S)
    raise StartError(f"no broker coordinates group {group}; look at the brokers' logs")


def committed_offsets(admin: Any, group: str, places: list[TopicPartition]) -> dict[TopicPartition, int | None]:
    """Committed offsets by partition; None without an offset. Raises KafkaError."""
    committed: Mapping[TopicPartition, object] = admin.list_group_offsets({group: places})[group] if places else {}
    offsets = {place: getattr(committed.get(place), "offset", -1) for place in places}
    return {place: offset if offset >= 0 else None for place, offset in offsets.items()}


def logs_of(admin: Any, places: Iterable[TopicPartition]) -> dict[TopicPartition, Log]:
    """The logs as read_committed readers see them: the end is before open transactions. Raises KafkaError."""
    places = list(places)
    if not places:
        return {}
    starts, ends = (
        admin.list_partition_offsets(dict.fromkeys(places, spec), isolation_level=IsolationLevel.READ_COMMITTED)
        for spec in (OffsetSpec.EARLIEST, OffsetSpec.LATEST)
    )
    return {place: Log(starts[place].offset, ends[place].offset) for place in places}


def first_timestamps(
    config: dict[str, Any], ranges: Mapping[TopicPartition, Log], clock: Callable[[], float] = time.monotonic
) -> dict[TopicPartition, int | None]:
    """Timestamp (ms since 1970) of the first record in each range of offsets, without partitions that do not answer
    in time or whose record has no time. None: the range holds no record, only control records or gaps.

    Reads outside of any group. Needs READ on the topic. Raises KafkaError.
    """
    found: dict[TopicPartition, int | None] = {}
    if not ranges:
        return found
    consumer: Any = make_reader({**config, "max_partition_fetch_bytes": FETCH_BYTES})
    try:
        consumer.assign(list(ranges))
        for place, log in ranges.items():
            consumer.seek(place, log.start)
        until = clock() + READ_S
        while len(found) < len(ranges) and clock() < until:
            first = {place: records[0] for place, records in consumer.poll(timeout_ms=200).items()}
            for place, log in ranges.items():
                if place in first and first[place].offset < log.end:
                    found[place] = first[place].timestamp
                elif place in first or (place not in found and consumer.position(place) >= log.end):
                    found[place] = None
                if place in found:
                    consumer.pause(place)
    finally:
        consumer.close(autocommit=False, timeout_ms=2_000)
    return {place: timestamp for place, timestamp in found.items() if timestamp is None or timestamp >= 0}
