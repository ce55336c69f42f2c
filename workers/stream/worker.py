"""One worker of one pipeline: makes the clients, runs the pipeline, and starts it anew after what can be got over."""

import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from typing import Any

from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from labelstream.workers.classifier import Classifier
from labelstream.workers.errors import CommandRefused, Fenced, LabelstreamError, StreamError
from labelstream.workers.settings import Settings
from labelstream.workers.stream.broker.connection import connected_config, never_log_messages
from labelstream.workers.stream.broker.topic_check import check_topics
from labelstream.workers.stream.consumer.client import make_consumer
from labelstream.workers.stream.consumer.source import RecordSource
from labelstream.workers.stream.consumer.start_offsets import GroupHistory
from labelstream.workers.stream.crash_isolation.suspects import Lives
from labelstream.workers.stream.delivery.at_least_once import AtLeastOnce
from labelstream.workers.stream.delivery.base import Delivery
from labelstream.workers.stream.delivery.exactly_once import ExactlyOnce
from labelstream.workers.stream.delivery.hanging_transactions import HangingTransactions
from labelstream.workers.stream.delivery.transactions import TransactionalProducer, check_transactions
from labelstream.workers.stream.flow_control.failure_window import FailureRateWindow
from labelstream.workers.stream.pipeline import Pipeline
from labelstream.workers.stream.producer.client import make_producer, make_transactional_producer
from labelstream.workers.stream.producer.producers import IdempotentProducer
from labelstream.workers.stream.producer.sink import ResultSink
from labelstream.workers.stream.stats import Stats
from labelstream.workers.stream.supervision.alerts import Alarms
from labelstream.workers.stream.supervision.commands import Command, CommandAnswer, Commands
from labelstream.workers.stream.supervision.dead_letter_share import DeadLetterShare
from labelstream.workers.stream.supervision.restart_backoff import RestartBackoff
from labelstream.workers.stream.supervision.stall_detector import SILENT_S, Watch

logger = logging.getLogger(__name__)
LOOP_STALL_S = 60.0  # a healthy turn takes 0.1 s
CLOSE_MS = 5_000


class PipelineWorker:
    """Call `start` once, then `check` now and then, then `stop` once. `classifiers` are the caller's to close."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        classifiers: Mapping[str, Classifier],
        worker_id: str,
    ) -> None:
        self._name, self._settings, self._classifiers = name, settings, classifiers
        self._pipeline_settings = settings.pipelines[name]
        self._id = worker_id
        # Of this process, whatever is started anew in it. Fencing between workers comes from the group's generation; a
        # fixed id would make two clusters in one group fence each other without end.
        self._transactional_id = f"{settings.group_id(name)}-{uuid.uuid4().hex}"
        self._stats = Stats()
        self._alarms, self._commands = Alarms(name, self._stats), Commands()
        # Over restarts of the stream: what tripped it will come again.
        self._breaker = FailureRateWindow(self._pipeline_settings.breaker)
        self._stopping = threading.Event()
        self._drain_until = float("inf")
        self._failure: BaseException | None = None
        self._trouble: LabelstreamError | None = None
        self._turned_at = time.monotonic()
        self._state = "starting"
        self._restarts = RestartBackoff()
        self._history, self._lives, self._stalled = GroupHistory(), Lives(), False
        self._backlog: dict[int, tuple[int, int]] = {}
        self._calls: int | None = None
        # A call says that it has failed when its model was silent for `call_timeout_s`, or for twice that where what
        # it asks runs by itself. To start the worker anew before would forget what was found out about its records.
        timeouts_s = [settings.models[model].call_timeout_s for model in self._pipeline_settings.allowed_models]
        self._stall_s = max(self._pipeline_settings.stall_timeout_s, 2.5 * max(timeouts_s))
        self._pipeline: Pipeline | None = None
        self._thread = threading.Thread(target=self._run, name=f"pipeline-{name}", daemon=True)

    def start(self) -> None:
        """Check brokers, topics and permissions, then consume in the background.

        Raises `StartError` or `ConfigError` for what a person has to put right.
        """
        never_log_messages()
        kafka = self._settings.kafka
        self._config = connected_config(kafka)
        group = self._settings.group_id(self._name)
        self._limits = check_topics(self._config, kafka, self._name, self._pipeline_settings, group)
        if self._pipeline_settings.delivery == "exactly_once":
            check_transactions(self._config, kafka, f"pipelines.{self._name}.delivery", self._transactional_id)
            threading.Thread(target=self._end_hanging, name=f"hanging-{self._name}", daemon=True).start()
        self._thread.start()

    def check(self) -> None:
        """Raises `StreamError` when the worker is dead, does not turn, or makes no progress with what it holds."""
        if self._failure is not None:
            raise StreamError(f"pipeline {self._name} stopped: {self._failure}") from self._failure
        if not self._thread.is_alive():
            raise StreamError(f"pipeline {self._name} is not running")
        if self._restarts.too_many():
            raise StreamError(
                f"pipeline {self._name} started anew {self._restarts.in_row} times in a row: {self._trouble}"
            )
        idle_s = time.monotonic() - self._turned_at
        silent = idle_s > SILENT_S and self._trouble is None and not self._stopping.is_set()
        loop = {"loop": f"the loop has not turned for more than {SILENT_S:g} s"} if silent else {}
        self._alarms.update("check", loop)
        if idle_s > LOOP_STALL_S and self._trouble is None:
            raise StreamError(f"pipeline {self._name}: its loop has not turned for {idle_s:.0f} s")
        oldest_s = self._pipeline.monitor.oldest_s() if self._pipeline else 0.0
        if oldest_s > self._stall_s:
            raise StreamError(
                f"pipeline {self._name}: messages are in flight for {oldest_s:.0f} s "
                f"(stall_timeout_s is {self._stall_s:.0f})"
            )

    def command(self, command: Command, timeout_s: float) -> "Future[CommandAnswer]":
        """Obey an operator: {"name": "resume"} or {"name": "skip", "topic", "partition", "offset"}. Never blocks."""
        return self._commands.take(command, timeout_s)

    def set_target_in_flight(self, calls: int) -> None:
        """See `Pipeline.set_target_in_flight`; from any thread, at any time."""
        self._calls = calls
        if (pipeline := self._pipeline) is not None:
            pipeline.set_target_in_flight(calls)

    def stop(self, timeout_s: float | None = None) -> bool:
        """Stop fetching, finish what is in flight, commit, leave the group. Blocks; may be called again.

        True when everything in flight was finished within `timeout_s` (the pipeline's `drain_timeout_s` by default);
        what was not is done again by the next owner.
        """
        if timeout_s is None:
            timeout_s = self._pipeline_settings.drain_timeout_s
        self._drain_until = time.monotonic() + timeout_s
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s + 2 * CLOSE_MS / 1000 + 5)
        return self._state == "drained"

    def stats(self) -> dict[str, Any]:
        """Plain numbers and names, for people and dashboards."""
        pipeline = self._pipeline
        in_flight = pipeline.monitor.in_flight() if pipeline else Counter()
        return {
            "worker": self._id,
            "state": "paused" if self._state == "running" and pipeline and pipeline.monitor.paused() else self._state,
            "alarms": self._alarms.texts(),
            "trouble": str(self._trouble) if self._trouble else None,
            "lag": sum(lag for lag, _ in self._backlog.values()),
            "partitions": self._backlog,
            "cpu_s": round(time.process_time(), 3),
            "in_flight": in_flight.total(),
            "in_flight_by_partition": dict(in_flight),
            **self._stats.snapshot(),
        }

    def _run(self) -> None:
        try:
            self._run_until_stopped()
        finally:
            self._commands.close()

    def _run_until_stopped(self) -> None:
        while not self._stopping.is_set():
            self._restarts.began(self._stats.delivered())
            try:
                self._run_once()
                return
            except LabelstreamError as error:
                if not error.retriable:
                    if isinstance(error, Fenced):
                        self._clear()
                    self._fail(error)
                    return
                pause_s = self._restarts.ended(self._stats.delivered())
                self._trouble, self._state = error, "restarting"
                self._stats.add(restarts=1)
                logger.error(
                    "pipeline %s: %s; starting anew from the committed offsets in %.0f s", self._name, error, pause_s
                )
                self._stopping.wait(pause_s)
            except BaseException as error:  # a bug: loud, and never committed
                self._fail(error)
                return

    def _end_hanging(self) -> None:
        """Others' transactions: who died cannot end its own."""
        kafka = self._settings.kafka
        hanging = HangingTransactions(
            self._config,
            kafka,
            self._pipeline_settings,
            self._settings.group_id(self._name),
            lambda transactional_id: self._make_transactional(transactional_id).close(0),
        )
        while not self._stopping.wait(kafka.transaction_timeout_ms / 1000):
            hanging.end()

    def _clear(self) -> None:
        """Nobody will begin with our transactional id again: clear what a broker may have kept of it."""
        try:
            self._make_producer().close(0)
        except (StreamError, KafkaError) as error:
            logger.warning("pipeline %s: its last transaction may hold back its partitions (%s)", self._name, error)

    def _fail(self, error: BaseException) -> None:
        self._failure, self._state = error, "failed"
        logger.critical(
            "pipeline %s stopped: %s",
            self._name,
            error,
            exc_info=None if isinstance(error, LabelstreamError) else error,
        )

    def _run_once(self) -> None:
        """One consumer, one sink: what they held is abandoned with them, never committed."""
        with ExitStack() as stack:
            try:
                # The producer first: it ends what an earlier one of ours left open, before the consumer asks for the
                # committed offsets.
                producer = self._make_producer()
                stack.callback(producer.close, CLOSE_MS / 1000)
                consumer = make_consumer(
                    self._config, self._settings.kafka, self._pipeline_settings, self._settings.group_id(self._name)
                )
            except KafkaError as error:
                raise StreamError(f"no connection to Kafka ({type(error).__name__}: {error})") from error
            source = RecordSource(consumer, self._pipeline_settings, self._stats, self._history, self._lives)
            stack.callback(source.close, CLOSE_MS)
            stack.push(source.partition_hold.on_exit)
            delivery = self._make_delivery(source, producer)
            self._pipeline = pipeline = Pipeline(
                self._pipeline_settings,
                source,
                delivery,
                self._classifiers,
                self._stats,
                self._breaker,
            )
            if self._calls is not None:
                pipeline.set_target_in_flight(self._calls)
            stack.callback(self._forget_pipeline)
            dead_share = DeadLetterShare(self._pipeline_settings.breaker, self._stats)
            self._watch = Watch(
                self._name, pipeline.monitor, source, dead_share, self._pipeline_settings.stall_timeout_s
            )
            self._turn_until_stopped(pipeline, source)

    def _make_producer(self) -> IdempotentProducer | TransactionalProducer:
        config, kafka, limits = self._config, self._settings.kafka, self._limits.sizes()
        if self._pipeline_settings.delivery == "exactly_once":
            return self._make_transactional(self._transactional_id)
        return IdempotentProducer(partial(make_producer, config, kafka, limits))

    def _make_transactional(self, transactional_id: str) -> TransactionalProducer:
        make = partial(
            make_transactional_producer, self._config, self._settings.kafka, self._limits.sizes(), transactional_id
        )
        return TransactionalProducer(make, self._settings.group_id(self._name), self._pipeline_settings)

    def _make_delivery(self, source: RecordSource, producer: IdempotentProducer | TransactionalProducer) -> Delivery:
        kafka, settings, stats = self._settings.kafka, self._pipeline_settings, self._stats
        sink = ResultSink(self._name, settings, producer, self._limits)
        if isinstance(producer, TransactionalProducer):
            return ExactlyOnce(settings, source, sink, producer, stats, kafka.transaction_timeout_ms / 1000)
        return AtLeastOnce(settings, source, sink, stats)

    def _forget_pipeline(self) -> None:
        self._pipeline = None

    def _turn_until_stopped(self, pipeline: Pipeline, source: RecordSource) -> None:
        self._turned_at = time.monotonic()
        while not self._stopping.is_set():
            pipeline.run_once(accept=True)
            self._turned(source)
            self._commands.obey(partial(_execute, pipeline))
        self._state = "draining"
        while not pipeline.finished() and time.monotonic() < self._drain_until:
            pipeline.run_once(accept=False)
            self._turned(source)
        drained = pipeline.drained()
        while not pipeline.flush():  # a transaction is to be ended, or a rebalance: by turning
            if time.monotonic() > self._drain_until:
                drained = False
                break
            pipeline.run_once(accept=False)
        if drained or not self._stalled:  # else what is in flight is to blame
            source.partition_hold.take_back()
        self._state = "drained" if drained else "stopped with messages in flight"

    def _turned(self, source: RecordSource) -> None:
        self._stalled = self._stalled or time.monotonic() - self._turned_at > LOOP_STALL_S
        self._turned_at = time.monotonic()
        self._backlog = source.lag.by_partition()
        alarms = self._watch.look()
        if alarms is not None:
            self._alarms.update("watch", alarms)
        if self._state in ("starting", "restarting") and source.assignment.assigned():
            self._state, self._trouble = "running", None
            self._restarts.joined()


def _execute(pipeline: Pipeline, command: Command) -> str | None:
    """What was done; None: not yet. Raises `CommandRefused`."""
    if command["name"] == "resume":
        held = pipeline.resume()
        if held is None:
            raise CommandRefused("it is not paused", ours=False)
        return f"goes on with {held} messages that were held"
    partition = TopicPartition(command["topic"], command["partition"])
    skipped = pipeline.skip(partition, command["offset"])
    if skipped is None:
        return None
    return f"{partition.topic}:{partition.partition} goes on at {command['offset']}, {skipped} offsets are skipped"
