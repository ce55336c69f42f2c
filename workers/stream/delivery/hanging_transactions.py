"""Transactions that a broker has forgotten to end, of workers that are gone: found and ended by whoever is left.

A broker that starts again may close a transaction without writing the markers that end it: while it does not know yet
who leads a partition it takes the partition for deleted (TransactionMarkerChannelManager in Kafka's source: "these
partitions are likely deleted already and hence can be skipped"). read_committed readers of that partition then wait for
good. The next producer of the same transactional id mends that (transactions.py); but ids are random, and a dead
worker's has no next one.

So each worker looks from time to time for what is open in a partition that it writes to although its coordinator says
that it is closed (KIP-664 has the requests), and ends it as that id's next producer.
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
from labelstream.workers.settings import KafkaSettings, PipelineSettings
from labelstream.workers.stream.broker.topics import written_topics

logger = logging.getLogger(__name__)
OFFSETS = "__consumer_offsets"
CLOSED = frozenset({"Empty", "CompleteCommit", "CompleteAbort", "Dead"})
Open = dict[tuple[TopicPartition, int], int]  # partition and producer id -> the open transaction's first offset


class HangingTransactions:
    """Of the transactional ids of consumer group `group`, in the topics that `pipeline` writes to.

    `end_as` begins, and closes, a producer with a transactional id: what this id has open anywhere ends.
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
        """`end` in a thread of its own, as often as a transaction may last, until `stopped`."""

        def run() -> None:
            while not stopped.wait(self._silent_ms / 1000):
                self.end()

        threading.Thread(target=run, name=f"hanging-{self._group}", daemon=True).start()

    def end(self) -> list[str]:
        """End those that are found: their transactional ids. Waits for the brokers; never raises for what they say."""
        if not self._allowed:
            return []
        try:
            with closing(KafkaAdminClient(**self._config)) as admin:
                found = self._find(admin)
            for transactional_id in found:
                logger.warning(
                    "group %s: a broker has left a transaction open of a worker that is gone; ending it", self._group
                )
                self._end_as(transactional_id)
            return found
        except AuthorizationError:
            self._allowed = False
            logger.warning(
                "group %s: no permission to read %s: what a broker leaves open of dead workers' transactions "
                "would hold back read_committed readers; grant READ",
                self._group,
                ", ".join(written_topics(self._pipeline)),
            )
        except (KafkaError, StreamError, ValueError) as error:  # kafka-python knows not every state by its name
            logger.info(
                "group %s: not looked for transactions that were left open (%s)", self._group, type(error).__name__
            )
        return []

    def _find(self, admin: Any) -> list[str]:
        """A closed transaction has its markers in all its partitions, or never gets them.

        Asked in this order: what was open before its coordinator called it closed, and is open still, hangs.
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
        """What is open in our partitions, and has been silent for longer than a transaction may last."""
        partitions = _partitions(admin, written_topics(self._pipeline))
        states = admin.describe_producers(partitions)
        try:
            count = len(_partitions(admin, [OFFSETS]))
            states |= admin.describe_producers([TopicPartition(OFFSETS, _offsets_partition(self._group, count))])
        except (AuthorizationError, ZeroDivisionError):
            pass  # the internal topic is rarely open to others, and not there before its first use
        silent_since = time.time() * 1000 - self._silent_ms
        return {
            (partition, producer.producer_id): producer.current_transaction_start_offset
            for partition, state in states.items()
            for producer in state.active_producers
            if producer.current_transaction_start_offset >= 0 and producer.last_timestamp < silent_since
        }


def _partitions(admin: Any, topics: list[str]) -> list[TopicPartition]:
    return [
        TopicPartition(found["name"], partition["partition_index"])
        for found in admin.describe_topics(topics)
        for partition in found["partitions"]
    ]


def _offsets_partition(group: str, partitions: int) -> int:
    """Which partition keeps a group's offsets: Java's `Utils.abs(group.hashCode()) % partitions`."""
    value = 0
    for unit in array("H", group.encode("utf-16-le" if sys.byteorder == "little" else "utf-16-be")):
        value = (31 * value + unit) & 0xFFFFFFFF
    signed = value - 2**32 if value >= 2**31 else value
    return abs(signed) % partitions if signed != -(2**31) else 0
