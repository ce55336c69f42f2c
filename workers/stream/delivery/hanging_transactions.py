"""Find and abort hanging transactions of dead workers.

A broker that restarts may close a transaction without writing its end markers: a partition whose leader is unknown
counts as deleted (TransactionMarkerChannelManager in Kafka's source: "these partitions are likely deleted already and
hence can be skipped"). read_committed readers of that partition then block forever. The next producer of the same
transactional id ends the transaction (transactions.py), but ids are random and a dead worker's id has no next producer.

Each worker therefore looks regularly for transactions that are open in an output partition but closed at their
coordinator (KIP-664). The worker ends them as the next producer of their id, with the outcome of the coordinator.
"""

import logging
import sys
import threading
import time
from array import array
from collections.abc import Callable
from contextlib import closing
from typing import Any

from kafka import KafkaAdminClient
from kafka.errors import AuthorizationError, KafkaError
from kafka.structs import TopicPartition

from labelstream.workers.errors import StreamError
from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.broker.topics import written_topics

logger = logging.getLogger(__name__)
OFFSETS = "__consumer_offsets"
CLOSED = frozenset({"Empty", "CompleteCommit", "CompleteAbort", "Dead"})
Open = dict[tuple[TopicPartition, int], int]  # (partition, producer id) -> first offset of the open transaction


class HangingTransactions:
    """Hanging transactions of consumer group `group` in the output topics of `pipeline`.

    `end_as`: initializes and closes a producer with a transactional id, which ends all transactions of that id.
    """

    def __init__(
        self,
        config: dict[str, Any],
        kafka: KafkaSettings,
        pipeline: PipelineSettings,
        group: str,
        end_as: Callable[[str], None],
    ) -> None:
        self._config, self._pipeline, self._group, self._end_as = config, pipeline, group, end_as
        self._silent_ms = kafka.transaction_timeout_ms
        self._allowed = True

    def keep_ending(self, stopped: threading.Event) -> None:
        """Call `end` once per transaction timeout, in a thread, until `stopped`."""

        def run() -> None:
            while not stopped.wait(self._silent_ms / 1000):
                self.end()

        threading.Thread(target=run, name=f"hanging-{self._group}", daemon=True).start()

    def end(self) -> list[str]:
        """End hanging transactions and return their transactional ids. Waits for the brokers; raises no Kafka error."""
        if not self._allowed:
            return []
        try:
            with closing(KafkaAdminClient(**self._config)) as admin:
                ids = self._find(admin)
            for transactional_id in ids:
                logger.warning(
                    "group %s: ending a hanging transaction of a dead worker, which a broker left open", self._group
                )
                self._end_as(transactional_id)
            return ids
        except AuthorizationError:
            self._allowed = False
            logger.warning(
                "group %s: no permission to read %s: hanging transactions of dead workers could block read_committed "
                "readers; grant READ",
                self._group,
                ", ".join(written_topics(self._pipeline)),
            )
        except (KafkaError, StreamError, ValueError) as error:  # ValueError: kafka-python lacks some state names
            logger.info("group %s: looking for hanging transactions failed (%s)", self._group, type(error).__name__)
        return []

    def _find(self, admin: Any) -> list[str]:
        """Transactional ids of hanging transactions.

        The order of requests matters: a transaction hangs if open before its coordinator reports it closed, and after.
        """
        before = self._open(admin)
        if not before:
            return []
        closed = {
            listing.producer_id: listing.transactional_id
            for listings in admin.list_transactions().values()
            for listing in listings
            if listing.transactional_id.startswith(f"{self._group}-") and listing.state.value in CLOSED
        }
        suspects = {key: first for key, first in before.items() if key[1] in closed}
        after = self._open(admin) if suspects else {}
        return sorted(
            {
                closed[producer_id]
                for (partition, producer_id), first in suspects.items()
                if after.get((partition, producer_id)) == first
            }
        )

    def _open(self, admin: Any) -> Open:
        """Transactions open in the output partitions whose producers wrote nothing for the transaction timeout."""
        partitions = _partitions(admin, written_topics(self._pipeline))
        states = admin.describe_producers(partitions)
        try:
            count = len(_partitions(admin, [OFFSETS]))
            states |= admin.describe_producers([TopicPartition(OFFSETS, _offsets_partition(self._group, count))])
        except (AuthorizationError, ZeroDivisionError):
            pass  # the internal topic is rarely readable, and does not exist before its first use
        silent_since = time.time() * 1000 - self._silent_ms
        return {
            (partition, producer.producer_id): producer.current_transaction_start_offset
            for partition, state in states.items()
            for producer in state.active_producers
            if producer.current_transaction_start_offset >= 0 and producer.last_timestamp < silent_since
        }


def _partitions(admin: Any, topics: list[str]) -> list[TopicPartition]:
    return [
        TopicPartition(topic["name"], partition["partition_index"])
        for topic in admin.describe_topics(topics)
        for partition in topic["partitions"]
    ]


def _offsets_partition(group: str, partitions: int) -> int:
    """The partition of a group's offsets: Java's `Utils.abs(group.hashCode()) % partitions`."""
    value = 0
    for unit in array("H", group.encode("utf-16-le" if sys.byteorder == "little" else "utf-16-be")):
        value = (31 * value + unit) & 0xFFFFFFFF
    signed = value - 2**32 if value >= 2**31 else value
    return abs(signed) % partitions if signed != -(2**31) else 0
