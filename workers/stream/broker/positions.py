"""Where a consumer group stands in a topic, asked of the brokers: what it has committed, and what waits behind that."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from kafka.admin import OffsetSpec  # pyright: ignore[reportAttributeAccessIssue] (its stubs are of an older client)
from kafka.errors import CoordinatorNotAvailableError, GroupAuthorizationFailedError
from kafka.protocol.consumer import IsolationLevel
from kafka.structs import TopicPartition

from labelstream.workers.errors import StartError
from labelstream.workers.stream.broker.bounded_reader import make_reader
from labelstream.workers.stream.broker.group_check import COORDINATOR_TRIES, COORDINATOR_WAIT_S
from labelstream.workers.stream.broker.topics import access_problem
from labelstream.workers.stream.consumer.offset_reset import Log, StartFrom, next_offset, starts_at_end

FETCH_BYTES = 16_384  # of a partition: one record is asked for
READ_S = 5.0


class Position(NamedTuple):
    """In one partition. `log` is as read_committed readers see it; `committed` None: the group has no offset.

    `next`: the offset that reading goes on with.
    """

    log: Log
    committed: int | None
    next: int

    @property
    def lag(self) -> int:
        """Messages that are there and not done, counted by their offsets."""
        return max(0, self.log.end - self.next)

    @property
    def lost(self) -> int:
        """Messages that retention has deleted before the group has done them."""
        return 0 if self.committed is None else max(0, self.log.start - self.committed)


def positions(
    logs: Mapping[int, Log], committed: Mapping[int, int | None], start_from: StartFrom
) -> dict[int, Position]:
    """Of one topic and group, by partition. `committed`: None where the group has no offset."""
    at_end = starts_at_end(start_from, committed.values())
    return {
        number: Position(log, committed[number], next_offset(log, committed[number], at_end))
        for number, log in logs.items()
    }


def read_positions(admin: Any, topic: str, group: str, start_from: StartFrom) -> dict[int, Position]:
    """By partition. `admin`: a KafkaAdminClient.

    Raises StartError where we may not see topic or group, or the topic is not there, and kafka's own errors.
    """
    found = admin.describe_topics([topic])[0]
    if problem := access_problem(found, "DESCRIBE"):
        raise StartError(problem)
    places = [
        TopicPartition(topic, number) for number in sorted(part["partition_index"] for part in found["partitions"])
    ]
    committed = _first_asked(admin, group, places)
    logs = logs_of(admin, places)
    return positions({place.partition: logs[place] for place in places}, committed, start_from)


def _first_asked(admin: Any, group: str, places: list[TopicPartition]) -> dict[int, int | None]:
    """`committed_offsets`, where nobody may have asked for a group before: the broker makes a topic for them then."""
    for _ in range(COORDINATOR_TRIES):
        try:
            return committed_offsets(admin, group, places)
        except GroupAuthorizationFailedError:
            raise StartError(f"no permission to see group {group}; grant DESCRIBE on it") from None
        except CoordinatorNotAvailableError:
            time.sleep(COORDINATOR_WAIT_S)
    raise StartError(f"no broker coordinates group {group}; look at the brokers' logs")


def committed_offsets(admin: Any, group: str, places: list[TopicPartition]) -> dict[int, int | None]:
    """Of partitions of one topic; None where the group has no offset. Raises kafka's own errors."""
    found: Mapping[TopicPartition, object] = admin.list_group_offsets({group: places})[group]
    offsets = {place.partition: getattr(found.get(place), "offset", -1) for place in places}
    return {number: offset if offset >= 0 else None for number, offset in offsets.items()}


def logs_of(admin: Any, places: Iterable[TopicPartition]) -> dict[TopicPartition, Log]:
    """As read_committed readers see them: an open transaction is behind the end. Raises kafka's own errors."""
    places = list(places)
    starts, ends = (
        admin.list_partition_offsets(dict.fromkeys(places, spec), isolation_level=IsolationLevel.READ_COMMITTED)
        for spec in (OffsetSpec.EARLIEST, OffsetSpec.LATEST)
    )
    return {place: Log(starts[place].offset, ends[place].offset) for place in places}


def first_timestamps(
    config: dict[str, Any], offsets: Mapping[TopicPartition, int], clock: Callable[[], float] = time.monotonic
) -> dict[TopicPartition, int]:
    """Of the first record from each offset on, in milliseconds since 1970, without those that no broker tells in time.

    Reads outside of any group. Raises kafka's own errors; READ on the topic is needed.
    """
    found: dict[TopicPartition, int] = {}
    if not offsets:
        return found
    consumer: Any = make_reader({**config, "max_partition_fetch_bytes": FETCH_BYTES})
    try:
        consumer.assign(list(offsets))
        for place, offset in offsets.items():
            consumer.seek(place, offset)
        until = clock() + READ_S
        while len(found) < len(offsets) and clock() < until:
            for place, records in consumer.poll(timeout_ms=200).items():
                found[place] = records[0].timestamp
                consumer.pause(place)
    finally:
        consumer.close(autocommit=False, timeout_ms=2_000)
    return {place: timestamp for place, timestamp in found.items() if timestamp >= 0}
