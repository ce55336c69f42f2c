"""Kafka transactions with kafka-python's producer, which loses or repeats records unless it is kept on a short lead.

Read in kafka-python 3.0.12 (producer/transaction_manager.py, sender.py), each with a test in tests/:

* A batch that expired does not fail its transaction, and `flush` only logs: the caller commits only when every
  acknowledgement is there (`ExactlyOnce`).
* After an abort the offsets of the aborted transaction leak into the next one; after an epoch bump `commit_transaction`
  may report success for a transaction that the broker has aborted. So: no second use of a producer after anything
  unusual, and a commit counts only while producer id and epoch are those of the start.
* `commit_transaction` and `send_offsets_to_transaction` wait without a limit: they run on a thread of their own.
* A broker that was killed may forget, when it starts again, the markers that end a transaction (seen on Kafka 4.3.1:
  CompleteAbort in its transaction log, no marker in `__consumer_offsets`). Its offsets stay unstable, and the next
  commit of the same id would make them count: partitions would go back. Its records hold back read_committed readers.
  So: a new producer first aborts a transaction of all that it may ever write to; these markers clear what is left.
* It speaks transaction protocol v1 only, where a late write of an aborted transaction could land in the next one: an
  abort is always `init_transactions` of a new producer, whose new epoch fences the old one's writes.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from kafka import KafkaProducer
from kafka.errors import (
    CommitFailedError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    RetriableError,  # pyright: ignore[reportAttributeAccessIssue] (its stubs are of an older client)
)
from kafka.producer.future import FutureRecordMetadata
from kafka.structs import ConsumerGroupMetadata, TopicPartition  # pyright: ignore[reportAttributeAccessIssue]

from labelstream.workers import failpoints
from labelstream.workers.errors import Fenced, StreamError
from labelstream.workers.settings import PipelineSettings
from labelstream.workers.stream.broker.topics import written_topics
from labelstream.workers.stream.codec.encode import ProducerRecord
from labelstream.workers.stream.consumer.assignment import Offsets, as_kafka
from labelstream.workers.stream.producer.batch_producer import Acknowledgement, BatchProducer
from labelstream.workers.stream.producer.producers import BrokersView, end, identity, in_time
from labelstream.workers.stream.producer.send_errors import FENCED

logger = logging.getLogger(__name__)
ABORT_S = 5.0
RENEW_S = 1.0
PASSING = (KafkaTimeoutError, KafkaConnectionError, RetriableError)  # the brokers are away, or busy with the abort


class Aborted(Exception):
    """The open transaction is gone, for certain: what was in it has to be sent again."""


class TransactionalProducer(BrokersView):
    """Transactions of one transactional id, one at a time, begun by the first `send` or `commit`.

    `make`: a producer with that id. `group`: the consumer group whose offsets it commits.
    Raises `StreamError` when transactions cannot be initialised.
    """

    def __init__(self, make: Callable[[], BatchProducer], group: str, settings: PipelineSettings) -> None:
        self._make, self._group, self._settings = make, group, settings
        self._begun = False
        self._closed = threading.Event()
        self._renewed: Future[None] | None = None
        self._producer = self._make()
        self._initialise(self._producer)

    def ready(self) -> bool:
        """May a transaction begin? False while an aborted one is brought to its end. Raises why it cannot be."""
        if self._renewed is not None and self._renewed.done():
            renewed, self._renewed = self._renewed, None
            renewed.result()
        return self._renewed is None

    def announce(self, records: int) -> None:
        """Results are seen at the end of their transaction: nothing is won by sending them at once."""

    def send(self, topic: str, record: ProducerRecord) -> FutureRecordMetadata:
        self._begin()
        return self._producer.send(
            topic, record.value, record.key, record.headers, record.partition, record.timestamp_ms
        )

    def send_batch(self, topic: str, records: Sequence[ProducerRecord]) -> list[Acknowledgement]:
        self._begin()
        return self._producer.send_batch(topic, records)

    def refused(self) -> None:
        """Raises `Aborted`: with the record at fault the whole transaction is lost, and has to be aborted."""
        raise Aborted

    def abort(self) -> None:
        """End the open transaction, if there is one, without effect. Never blocks: see `ready`."""
        if self._begun:
            self._begun = False
            self._renewed = Future()
            threading.Thread(target=self._renew, args=(self._renewed,), name="transaction-abort", daemon=True).start()

    def commit(self, offsets: Offsets, membership: Any) -> "Future[None]":
        """Commit what was sent, all of it acknowledged, together with `offsets`. Never blocks.

        The future fails with `Aborted`, `Fenced`, or with `StreamError` where the outcome is unknown; then, as when it
        never resolves, only `init_transactions` and a look at the committed offsets tell.
        """
        self._begin()
        outcome: Future[None] = Future()
        arguments = self._producer, self._identity, offsets, membership, outcome
        threading.Thread(target=self._finish, args=arguments, name="transaction", daemon=True).start()
        return outcome

    def committed(self) -> None:
        """The commit has succeeded: the next `send` begins a new transaction."""
        self._begun = False

    def close(self, timeout_s: float) -> None:
        """Ends an open transaction without effect, so that it holds back no reader until its timeout."""
        self._closed.set()
        if self._renewed is not None:
            end(self._producer, 0)
            with suppress(Exception):  # whatever it is, it was to be ended
                self._renewed.result(timeout_s)
        elif self._begun:
            try:
                in_time(self._producer.abort_transaction, min(timeout_s, ABORT_S))
            except Exception as error:
                logger.info("the open transaction could not be aborted (%s)", type(error).__name__)
        end(self._producer, 0 if self._begun else timeout_s)

    def _begin(self) -> None:
        if not self._begun:
            self._producer.begin_transaction()
            self._begun = True

    def _initialise(self, producer: BatchProducer) -> None:
        try:
            producer.init_transactions()
            self._clear(producer)
        except KafkaError as error:
            end(producer, 0)
            raise StreamError(f"transactions cannot be initialised ({type(error).__name__}: {error})") from error
        self._identity = identity(producer)

    def _renew(self, renewed: "Future[None]") -> None:
        """Take up the id with a new producer, for as long as the brokers take for it."""
        try:
            end(self._producer, 0)
            while not self._closed.is_set():
                try:
                    self._producer = self._make()
                    self._initialise(self._producer)
                    break
                except (StreamError, KafkaError) as error:
                    cause = error.__cause__ if isinstance(error, StreamError) else error
                    if not isinstance(cause, PASSING):
                        raise
                    logger.warning("a transaction is not yet aborted (%s)", error)
                    self._closed.wait(RENEW_S)
            renewed.set_result(None)
        except BaseException as error:
            renewed.set_exception(error)

    def _clear(self, producer: Any) -> None:
        settings = self._settings
        producer.begin_transaction()
        for topic in written_topics(settings):
            for number in producer.partitions_for(topic) or ():
                producer._transaction_manager.maybe_add_partition_to_transaction(TopicPartition(topic, number))
        # Waits for the partitions as well, which go first.
        offsets = as_kafka({TopicPartition(settings.input, 0): 0})
        producer.send_offsets_to_transaction(offsets, ConsumerGroupMetadata(self._group))
        producer.abort_transaction()

    def _finish(
        self,
        producer: KafkaProducer,
        started_as: tuple[int, int],
        offsets: Offsets,
        membership: Any,
        outcome: "Future[None]",
    ) -> None:
        try:
            try:
                producer.send_offsets_to_transaction(as_kafka(offsets), membership)
            except FENCED:
                raise
            except KafkaError as error:  # EndTxn was not sent, nothing took effect
                if not isinstance(error, CommitFailedError):  # that is another generation of the group
                    logger.warning("a transaction could not take its offsets (%s: %s)", type(error).__name__, error)
                raise Aborted from None
            failpoints.passed(failpoints.AFTER_SEND_OFFSETS)
            failpoints.passed(failpoints.BEFORE_COMMIT)
            producer.commit_transaction()
            failpoints.passed(failpoints.AFTER_COMMIT)
            if identity(producer) != started_as:
                raise StreamError("the producer's epoch changed during a commit: its outcome is unknown")
            outcome.set_result(None)
        except FENCED as error:
            outcome.set_exception(Fenced(f"the broker has ended our transaction ({type(error).__name__})"))
        except KafkaError as error:
            outcome.set_exception(StreamError(f"a transaction failed ({type(error).__name__}: {error})"))
        except BaseException as error:
            outcome.set_exception(error)
