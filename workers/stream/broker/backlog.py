"""Backlog probe: lag of all pipelines, read from the brokers, also when no worker runs or all are paused."""

import time
from contextlib import suppress
from typing import Any, NamedTuple

from kafka import KafkaAdminClient
from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from labelstream.workers.errors import LabelstreamError, StreamError
from labelstream.workers.settings.application import Settings
from labelstream.workers.stream.broker.connection import cause_of, connected_config, never_log_messages
from labelstream.workers.stream.broker.positions import committed_offsets, group_starts_at_end, logs_of, positions
from labelstream.workers.stream.broker.topics import topics_read
from labelstream.workers.stream.consumer.assignment import partition_name

AGAIN_S = 3.0


class Standing(NamedTuple):
    """One partition. `end`: end of the log for read_committed readers; `lag`: messages before it that are not done.

    The lag counts from the group's committed offset; without one, from the start offset (`Position`).
    """

    end: int
    lag: int


class BacklogProbe:
    """Keeps one admin client; `close` it at the end. Use from one thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._groups = {name: settings.group_id(name) for name in settings.pipelines}
        self._admin: Any = None
        self._read: dict[str, list[str]] = {}  # topics by pipeline
        self._partitions: dict[str, list[TopicPartition]] = {}
        self._list_s = min((one.discovery_interval_s for one in settings.pipelines.values()), default=0.0)
        self._listed_at = self._again_at = 0.0
        self._failure = ""

    def read(self) -> dict[str, dict[str, Standing]]:
        """Standings by pipeline and TOPIC:PARTITION. Waits for the brokers; raises `StreamError` with the cause.

        After an error, raises without asking for AGAIN_S, because each attempt opens a new connection.
        """
        if time.monotonic() < self._again_at:
            raise StreamError(self._failure)
        try:
            if self._admin is None:
                never_log_messages()
                self._admin = KafkaAdminClient(**connected_config(self._settings.required_kafka, patience_s=0))
            return self._standings(self._admin)
        except (KafkaError, LabelstreamError, OSError) as error:
            self.close()
            self._again_at = time.monotonic() + AGAIN_S
            self._failure = self._cause(error).removeprefix("kafka.bootstrap_servers: ")
            raise StreamError(self._failure) from error

    def _cause(self, error: Exception) -> str:
        is_vague = isinstance(error, KafkaError)  # often only a timeout
        return cause_of(self._settings.required_kafka, error) if is_vague else str(error)

    def close(self) -> None:
        admin, self._admin, self._partitions = self._admin, None, {}
        if admin is not None:
            with suppress(KafkaError, OSError):
                admin.close()

    def _standings(self, admin: Any) -> dict[str, dict[str, Standing]]:
        self._list_partitions(admin)
        logs = logs_of(admin, (place for of_topic in self._partitions.values() for place in of_topic))
        found: dict[str, dict[str, Standing]] = {}
        for name, group in self._groups.items():  # brokers before 3.0 accept one group a request
            pipeline = self._settings.pipelines[name]
            places = [place for topic in self._read[name] for place in self._partitions[topic]]
            committed = committed_offsets(admin, group, places)
            at_end = group_starts_at_end(admin, group, pipeline.start_from, committed)
            state = positions({place: logs[place] for place in places}, committed, at_end)
            found[name] = {partition_name(place): Standing(at.log.end, at.lag) for place, at in state.items()}
        return found

    def _list_partitions(self, admin: Any) -> None:
        known = bool(self._partitions) and all(self._partitions.values())  # a topic may be created on first use
        if known and time.monotonic() - self._listed_at < self._list_s:
            return
        self._read = {name: topics_read(admin, pipeline) for name, pipeline in self._settings.pipelines.items()}
        topics = sorted({topic for of_pipeline in self._read.values() for topic in of_pipeline})
        self._partitions = {
            topic["name"]: sorted(
                TopicPartition(topic["name"], part["partition_index"]) for part in topic["partitions"]
            )
            for topic in (admin.describe_topics(topics) if topics else [])
        }
        self._listed_at = time.monotonic()
