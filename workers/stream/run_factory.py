"""Make the clients, delivery and pipeline for each run of a worker."""

import logging
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import NamedTuple

from kafka.errors import KafkaError

from labelstream.workers.classifier import Classifier
from labelstream.workers.errors import StreamError
from labelstream.workers.settings.application import Settings
from labelstream.workers.stream.broker.connection import cause_of, connected_config, never_log_messages
from labelstream.workers.stream.broker.topic_check import check_topics
from labelstream.workers.stream.consumer.client import make_consumer
from labelstream.workers.stream.consumer.source import RecordSource
from labelstream.workers.stream.consumer.start_offsets import GroupHistory
from labelstream.workers.stream.crash_isolation.suspects import Lives
from labelstream.workers.stream.delivery.at_least_once import AtLeastOnce
from labelstream.workers.stream.delivery.base import Delivery
from labelstream.workers.stream.delivery.exactly_once import ExactlyOnce
from labelstream.workers.stream.delivery.hanging_transactions import HangingTransactions
from labelstream.workers.stream.delivery.last_transaction import LastTransaction
from labelstream.workers.stream.delivery.transaction_check import check_transactions
from labelstream.workers.stream.delivery.transactions import TransactionalProducer
from labelstream.workers.stream.flow_control.failure_window import FailureRateWindow
from labelstream.workers.stream.pipeline import Pipeline
from labelstream.workers.stream.producer.kafka_producer.client import make_producer, make_transactional_producer
from labelstream.workers.stream.producer.kafka_producer.producers import IdempotentProducer
from labelstream.workers.stream.producer.sink import ResultSink
from labelstream.workers.stream.stats import Stats
from labelstream.workers.stream.supervision.alarm_rules import AlarmRules
from labelstream.workers.stream.supervision.dead_letter_share import DeadLetterShare
from labelstream.workers.stream.supervision.stall_detector import StallDetector, peer_stalls

logger = logging.getLogger(__name__)
CLOSE_MS = 5_000
Producer = IdempotentProducer | TransactionalProducer


class Run(NamedTuple):
    pipeline: Pipeline
    source: RecordSource
    rules: AlarmRules


class RunFactory:
    """Makes the runs of one worker, and keeps state between them: breaker counts, group history and crash notes."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        classifiers: Mapping[str, Classifier],
        stats: Stats,
    ) -> None:
        """Connect, and check brokers, topics and permissions.

        Raises `StartError` or `ConfigError` if a person must fix something.
        """
        never_log_messages()
        self._name, self._settings, self._kafka = name, settings.pipelines[name], settings.required_kafka
        self._group, self._classifiers, self._stats = settings.group_id(name), classifiers, stats
        self._peers = peer_stalls(settings, name)
        # Random for each process. Workers are fenced by the group's generation; with a fixed id, two clusters in one
        # group would fence each other forever.
        self._transactional_id = f"{self._group}-{uuid.uuid4().hex}"
        self._failures = FailureRateWindow(self._settings.breaker)  # kept: messages that opened the breaker return
        self._history, self._lives = GroupHistory(), Lives()
        self._config = connected_config(self._kafka)
        self._limits = check_topics(self._config, self._kafka, name, self._settings, self._group)
        self._transactional = self._settings.delivery == "exactly_once"
        if self._transactional:
            check_transactions(self._config, self._kafka, f"pipelines.{name}.delivery", self._transactional_id)
        self._last = LastTransaction(self._config, self._transactional_id)

    def end_hanging_transactions(self, stopped: threading.Event) -> None:
        """End hanging transactions of dead workers, in the background until `stopped`; only with exactly once."""
        if self._transactional:
            hanging = HangingTransactions(
                self._config,
                self._kafka,
                self._settings,
                self._group,
                lambda dead: self._transactional_producer(dead, LastTransaction(self._config, dead)).close(0),
            )
            hanging.keep_ending(stopped)

    @contextmanager
    def run(self) -> Iterator[Run]:
        """One run with its own consumer and sink. Records in flight at the end are abandoned and never committed.

        Raises `StreamError` if there is no connection.
        """
        with ExitStack() as stack:
            try:
                # The producer first: it ends this worker's open transaction before the consumer reads committed
                # offsets.
                producer = self._producer()
                stack.callback(producer.close, CLOSE_MS / 1000)
                consumer = make_consumer(self._config, self._kafka, self._settings, self._group)
            except KafkaError as error:
                raise StreamError(f"no connection to Kafka: {cause_of(self._kafka, error)}") from error
            source = RecordSource(consumer, self._settings, self._stats, self._history, self._lives)
            stack.callback(source.close, CLOSE_MS)
            stack.push(source.partition_hold.on_exit)
            delivery = self._delivery(source, producer)
            pipeline = Pipeline(self._settings, source, delivery, self._classifiers, self._stats, self._failures)
            share = DeadLetterShare(self._settings.breaker, self._stats)
            partitions = StallDetector(self._settings.stall_timeout_s)
            yield Run(
                pipeline,
                source,
                AlarmRules(self._name, pipeline.monitor, source, share, self._peers, partitions),
            )

    def clear_transaction(self) -> None:
        """End transactions that a broker may have kept, because this worker will not initialize its id again."""
        try:
            self._producer().close(0)
        except (StreamError, KafkaError) as error:
            logger.warning("pipeline %s: the last transaction may block its partitions (%s)", self._name, error)

    def _producer(self) -> Producer:
        if self._transactional:
            return self._transactional_producer(self._transactional_id, self._last)
        return IdempotentProducer(partial(make_producer, self._config, self._kafka, self._limits.sizes()))

    def _transactional_producer(self, transactional_id: str, last: LastTransaction) -> TransactionalProducer:
        sizes = self._limits.sizes()
        make = partial(make_transactional_producer, self._config, self._kafka, sizes, transactional_id)
        return TransactionalProducer(make, self._group, self._settings, last)

    def _delivery(self, source: RecordSource, producer: Producer) -> Delivery:
        settings, stats = self._settings, self._stats
        sink = ResultSink(self._name, settings, producer, self._limits)
        if isinstance(producer, TransactionalProducer):
            return ExactlyOnce(settings, source, sink, producer, stats, self._kafka.transaction_timeout_ms / 1000)
        return AtLeastOnce(settings, source, sink, stats)
