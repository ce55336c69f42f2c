"""Transactional producer: Kafka transactions with workarounds for kafka-python.

Behavior of kafka-python 3.0.12 (producer/transaction_manager.py, sender.py), each with a test in tests/:

* An expired batch does not fail its transaction, and `flush` only logs: `ExactlyOnce` commits only when every record is
  acknowledged.
* After an abort, offsets of the aborted transaction leak into the next one. After an epoch bump, `commit_transaction`
  may report success for an aborted transaction. So a producer is replaced after any error, and a commit counts only if
  producer id and epoch are unchanged since the start.
* `commit_transaction` and `send_offsets_to_transaction` wait without a timeout: each runs on its own thread.
* A killed broker may lose the markers that end a transaction (seen on Kafka 4.3.1: CompleteAbort in the transaction
  log, no marker in `__consumer_offsets`). Its offsets stay unstable until the next commit of the same id makes them
  count, which rewinds partitions. Its records block read_committed readers. So a new producer first aborts a
  transaction with all partitions that it may write to: these markers end leftover transactions. If the last
  transaction of the id was committed (CompleteCommit), the new producer commits instead: an abort would delete
  results whose offsets are committed (seen on Kafka 4.3.1 after 2 of 112 commits during a restart). A producer that
  lives through such a restart is replaced before the next transaction: see `CommitWatch`.
* kafka-python has only transaction protocol v1, where a late write of an aborted transaction can land in the next
  one. So each abort is `init_transactions` of a new producer, whose epoch fences writes of the old one.
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
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.broker.topics import written_topics
from labelstream.workers.stream.codec.encoding.producer_record import ProducerRecord
from labelstream.workers.stream.consumer.assignment import Offsets, as_kafka
from labelstream.workers.stream.delivery.commit_watch import CommitWatch
from labelstream.workers.stream.delivery.last_transaction import LastTransaction
from labelstream.workers.stream.producer.kafka_producer.batch_producer import Acknowledgement, BatchProducer
from labelstream.workers.stream.producer.kafka_producer.brokers_view import BrokersView
from labelstream.workers.stream.producer.kafka_producer.workarounds import call_with_timeout, end, identity
from labelstream.workers.stream.producer.send_errors import FENCED

logger = logging.getLogger(__name__)
ABORT_S = 5.0
RENEW_S = 1.0
PASSING = (KafkaTimeoutError, KafkaConnectionError, RetriableError)  # brokers are unavailable or still aborting


class Aborted(Exception):
    """The open transaction is certainly aborted: its records must be sent again."""


class TransactionalProducer(BrokersView):
    """Transactions of one transactional id, one at a time, begun by the first `send` or `commit`.

    `make`: makes a producer with that id. `group`: consumer group whose offsets are committed. `last`: of that id.
    Raises `StreamError` if transactions cannot be initialized.
    """

    def __init__(
        self, make: Callable[[], BatchProducer], group: str, settings: PipelineSettings, last: LastTransaction
    ) -> None:
        self._make, self._group, self._settings, self._last = make, group, settings, last
        self._begun = False
        self._closed = threading.Event()
        self._completed: Future[bool] | None = None  # of the last commit: whether its markers are certainly written
        self._renewed: Future[None] | None = None
        self._producer = self._make()
        self._initialize(self._producer)

    def ready(self) -> bool:
        """May a transaction begin? False until the last one is complete. Raises the error of a failed abort."""
        if self._completed is not None and self._completed.done():
            completed, self._completed = self._completed, None
            if not completed.result():
                self._write_markers_again()
        if self._renewed is not None and self._renewed.done():
            renewed, self._renewed = self._renewed, None
            renewed.result()
        return self._renewed is None and self._completed is None

    def send(self, topic: str, record: ProducerRecord) -> FutureRecordMetadata:
        self._begin()
        return self._producer.send(
            topic, record.value, record.key, record.headers, record.partition, record.timestamp_ms
        )

    def send_batch(self, topic: str, records: Sequence[ProducerRecord]) -> list[Acknowledgement]:
        self._begin()
        return self._producer.send_batch(topic, records)

    def refused(self) -> None:
        """Raises `Aborted`: a refused record fails the whole transaction."""
        raise Aborted

    def abort(self) -> None:
        """Abort the open transaction, if any. Never blocks: see `ready`."""
        if self._begun:
            self._begun, self._completed = False, None
            self._replace_producer()

    def commit(self, offsets: Offsets, membership: Any, wake: Callable[[], None]) -> "Future[None]":
        """Commit the sent records and `offsets`. All records must be acknowledged. Never blocks.

        `wake`: called when the future resolves, and when the next transaction may begin.

        The future fails with `Aborted`, `Fenced`, or `StreamError` if the outcome is unknown. In that case, or if the
        future does not resolve, call `init_transactions` and compare the committed offsets.
        """
        self._begin()
        outcome: Future[None] = Future()
        self._completed = Future()
        for future in (outcome, self._completed):
            future.add_done_callback(lambda _: wake())
        arguments = self._producer, self._identity, offsets, membership, outcome, self._completed
        threading.Thread(target=self._finish, args=arguments, name="transaction", daemon=True).start()
        return outcome

    def committed(self) -> None:
        """Mark the transaction as committed: the next `send` begins a new one."""
        self._begun = False

    def close(self, timeout_s: float) -> None:
        """Abort an open transaction, which would block readers until its timeout, and close the producer."""
        self._closed.set()
        if self._renewed is not None:
            end(self._producer, 0)
            with suppress(Exception):  # the transaction ends in any case
                self._renewed.result(timeout_s)
        elif self._begun:
            try:
                call_with_timeout(self._producer.abort_transaction, min(timeout_s, ABORT_S))
            except Exception as error:
                logger.info("the open transaction could not be aborted (%s)", type(error).__name__)
        end(self._producer, 0 if self._begun else timeout_s)

    def _begin(self) -> None:
        if not self._begun:
            self._producer.begin_transaction()
            self._begun = True

    def _initialize(self, producer: BatchProducer) -> None:
        try:
            self._last.look()
            producer.init_transactions()
            self._clear(producer)
            self._last.cleared()
        except KafkaError as error:
            end(producer, 0)
            raise StreamError(f"transactions cannot be initialized ({type(error).__name__}: {error})") from error
        self._identity = identity(producer)

    def _write_markers_again(self) -> None:
        logger.warning("the connection to the transaction coordinator ended during a commit; repeating its markers")
        self._last.was_committed = True
        self._replace_producer()

    def _replace_producer(self) -> None:
        self._renewed = Future()
        threading.Thread(target=self._renew, args=(self._renewed,), name="transaction-end", daemon=True).start()

    def _renew(self, renewed: "Future[None]") -> None:
        """Initialize the id with a new producer, retrying until the brokers respond."""
        try:
            end(self._producer, 0)
            while not self._closed.is_set():
                try:
                    self._producer = self._make()
                    self._initialize(self._producer)
                    break
                except (StreamError, KafkaError) as error:
                    cause = error.__cause__ if isinstance(error, StreamError) else error
                    if not isinstance(cause, PASSING):
                        raise
                    logger.warning("a transaction is not yet aborted (%s); retrying in %g s", error, RENEW_S)
                    self._closed.wait(RENEW_S)
            renewed.set_result(None)
        except BaseException as error:
            renewed.set_exception(error)

    def _clear(self, producer: Any) -> None:
        """Write the markers that brokers may have lost, with the outcome of the last transaction."""
        settings = self._settings
        producer.begin_transaction()
        for topic in written_topics(settings):
            for number in producer.partitions_for(topic) or ():
                producer._transaction_manager.maybe_add_partition_to_transaction(TopicPartition(topic, number))
        # Adds the group's partition of __consumer_offsets. Also waits until the partitions are added, because these
        # requests go first.
        producer.send_offsets_to_transaction({}, ConsumerGroupMetadata(self._group))
        producer.commit_transaction() if self._last.was_committed else producer.abort_transaction()

    def _finish(
        self,
        producer: KafkaProducer,
        started_as: tuple[int, int],
        offsets: Offsets,
        membership: Any,
        outcome: "Future[None]",
        completed: "Future[bool]",
    ) -> None:
        try:
            try:
                producer.send_offsets_to_transaction(as_kafka(offsets), membership)
            except FENCED:
                raise
            except KafkaError as error:  # no commit was requested: nothing took effect
                if not isinstance(error, CommitFailedError):  # CommitFailedError: the group has a new generation
                    logger.warning("sending a transaction's offsets failed (%s: %s)", type(error).__name__, error)
                raise Aborted from None
            failpoints.passed(failpoints.AFTER_SEND_OFFSETS)
            failpoints.passed(failpoints.BEFORE_COMMIT)
            watch = CommitWatch(producer)
            producer.commit_transaction()
            failpoints.passed(failpoints.AFTER_COMMIT)
            if identity(producer) != started_as:
                raise StreamError("the producer's epoch changed during a commit; the outcome is unknown")
            outcome.set_result(None)
            completed.set_result(watch.saw_completion())
        except FENCED as error:
            outcome.set_exception(Fenced(f"the broker ended this worker's transaction ({type(error).__name__})"))
        except KafkaError as error:
            outcome.set_exception(StreamError(f"a transaction failed ({type(error).__name__}: {error})"))
        except BaseException as error:
            outcome.set_exception(error)
