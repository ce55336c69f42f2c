"""How much waits in the pipelines' input topics, asked of the brokers: also where no worker reads, or all pause."""

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from kafka import KafkaAdminClient
from kafka.admin import OffsetSpec  # pyright: ignore[reportAttributeAccessIssue] (its stubs are of an older client)
from kafka.errors import KafkaError
from kafka.protocol.consumer import IsolationLevel
from kafka.structs import TopicPartition

from labelstream.workers.errors import LabelstreamError, StreamError
from labelstream.workers.settings import Settings
from labelstream.workers.stream.broker.connection import connected_config, never_log_messages
from labelstream.workers.stream.consumer.offset_reset import Log, StartFrom, lag_of, starts_at_end

PARTITIONS_S = 60.0  # new ones are seen after so long
AGAIN_S = 3.0


class Standing(NamedTuple):
    """One partition: `end` is its log's end for read_committed readers; `lag`: messages before it that are not done.

    As far as the group has committed; where it has no offset, as far as they are to be read (`offset_reset.lag_of`).
    """

    end: int
    lag: int


class BacklogProbe:
    """Keeps one admin client. One calling thread. `close` it in the end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._groups = {name: settings.group_id(name) for name in settings.pipelines}
        self._admin: Any = None
        self._partitions: dict[str, list[int]] = {}
        self._listed_at = self._again_at = 0.0

    def read(self) -> dict[str, dict[int, Standing]]:
        """By pipeline and partition. Waits for the brokers; raises `StreamError` when they do not tell.

        After that it asks no more for some seconds: each time takes a new connection.
        """
        if time.monotonic() < self._again_at:
            raise StreamError("the backlog is not known")
        try:
            if self._admin is None:
                never_log_messages()
                self._admin = KafkaAdminClient(**connected_config(self._settings.kafka, patience_s=0))
            return self._read(self._admin)
        except (KafkaError, LabelstreamError, OSError) as error:
            self.close()
            self._again_at = time.monotonic() + AGAIN_S
            raise StreamError(f"the backlog is not known ({type(error).__name__})") from error

    def close(self) -> None:
        admin, self._admin, self._partitions = self._admin, None, {}
        if admin is not None:
            with suppress(KafkaError, OSError):
                admin.close()

    def _read(self, admin: Any) -> dict[str, dict[int, Standing]]:
        self._list_partitions(admin)
        logs = self._logs(admin)
        found: dict[str, dict[int, Standing]] = {}
        for name, group in self._groups.items():  # one by one: brokers below 3.0 take one group a request
            pipeline = self._settings.pipelines[name]
            places = [TopicPartition(pipeline.input, number) for number in self._partitions[pipeline.input]]
            offsets: Mapping[TopicPartition, object] = admin.list_group_offsets({group: places})[group]
            found[name] = standings(
                {place.partition: logs[place] for place in places},
                {place.partition: _offset(offsets.get(place)) for place in places},
                pipeline.start_from,
            )
        return found

    def _logs(self, admin: Any) -> dict[TopicPartition, Log]:
        places = [TopicPartition(topic, number) for topic, numbers in self._partitions.items() for number in numbers]
        starts, ends = (
            admin.list_partition_offsets(dict.fromkeys(places, spec), isolation_level=IsolationLevel.READ_COMMITTED)
            for spec in (OffsetSpec.EARLIEST, OffsetSpec.LATEST)
        )
        return {place: Log(starts[place].offset, ends[place].offset) for place in places}

    def _list_partitions(self, admin: Any) -> None:
        known = bool(self._partitions) and all(self._partitions.values())  # a topic may be made on its first use
        if known and time.monotonic() - self._listed_at < PARTITIONS_S:
            return
        topics = sorted({pipeline.input for pipeline in self._settings.pipelines.values()})
        described = admin.describe_topics(topics)
        self._partitions = {
            topic["name"]: sorted(part["partition_index"] for part in topic["partitions"]) for topic in described
        }
        self._listed_at = time.monotonic()


def standings(
    logs: Mapping[int, Log], committed: Mapping[int, int | None], start_from: StartFrom
) -> dict[int, Standing]:
    """Of one topic and group, by partition. `committed`: None where the group has no offset."""
    at_end = starts_at_end(start_from, committed.values())
    return {number: Standing(log.end, lag_of(log, committed[number], at_end)) for number, log in logs.items()}


def _offset(found: object) -> int | None:
    offset = getattr(found, "offset", -1)
    return offset if offset >= 0 else None
