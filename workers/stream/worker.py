"""Pipeline worker: runs one pipeline in a thread and restarts it after retriable errors."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial

from labelstream.workers.classifier import Classifier
from labelstream.workers.errors import Fenced, LabelstreamError
from labelstream.workers.settings.application import Settings
from labelstream.workers.stream.delivery.recent_results import RecentResults
from labelstream.workers.stream.pipeline import Pipeline
from labelstream.workers.stream.report import State, WorkerReport
from labelstream.workers.stream.run_factory import CLOSE_MS, Run, RunFactory
from labelstream.workers.stream.stats import Stats
from labelstream.workers.stream.supervision.alarms import Alarms
from labelstream.workers.stream.supervision.commands import Command, CommandAnswer, Commands
from labelstream.workers.stream.supervision.execution import execute
from labelstream.workers.stream.supervision.health_check import HealthCheck
from labelstream.workers.stream.supervision.restart_backoff import RestartBackoff
from labelstream.workers.stream.supervision.stall_detector import peer_stalls

logger = logging.getLogger(__name__)
MakeRuns = Callable[[str, Settings, Mapping[str, Classifier], Stats], RunFactory]


class PipelineWorker:
    """Call `start` once, `check` regularly, `stop` at the end. The caller closes `classifiers`."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        classifiers: Mapping[str, Classifier],
        worker_id: str,
        make_runs: MakeRuns = RunFactory,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._settings, self._id, self._clock = name, settings.pipelines[name], worker_id, clock
        http = settings.http
        self._stats = Stats(recent=RecentResults(http.page_texts) if http is not None and http.page else None)
        self._make_runs = partial(make_runs, name, settings, classifiers, self._stats)
        self._alarms, self._commands, self._restarts = Alarms(name, self._stats), Commands(), RestartBackoff(clock)
        self._health = HealthCheck(name, peer_stalls(settings, name), self._alarms, self._restarts, clock)
        self._stopping, self._drain_until = threading.Event(), float("inf")
        self._state: State = "starting"
        self._backlog: dict[str, tuple[int, int]] = {}
        self._target_in_flight: int | None = None
        self._pipeline: Pipeline | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Check brokers, topics and permissions, then consume in a thread.

        Raises `StartError` or `ConfigError` if a person must fix something.
        """
        runs = self._make_runs()
        runs.end_hanging_transactions(self._stopping)
        self._thread = threading.Thread(target=self._run, args=[runs], name=f"pipeline-{self._name}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise `StreamError` if the worker is dead, its loop blocked, or its messages in flight for too long."""
        alive = self._thread is not None and self._thread.is_alive()
        pipeline = self._pipeline
        self._health.check(alive, self._stopping.is_set(), pipeline.monitor.oldest_s() if pipeline else 0.0)

    def command(self, command: Command, timeout_s: float) -> "Future[CommandAnswer]":
        """Queue {"name": "resume"} or {"name": "skip", "topic", "partition", "offset"}. Never blocks."""
        return self._commands.take(command, timeout_s)

    def set_target_in_flight(self, calls: int) -> None:
        """See `Pipeline.set_target_in_flight`. Thread-safe, at any time."""
        self._target_in_flight = calls
        if (pipeline := self._pipeline) is not None:
            pipeline.set_target_in_flight(calls)

    def stop(self, timeout_s: float | None = None) -> bool:
        """Stop polling, finish and commit records in flight, leave the group. Blocks; may be called again.

        True if everything was finished within `timeout_s` (default: the pipeline's `drain_timeout_s`). The next owner
        repeats unfinished records.
        """
        if timeout_s is None:
            timeout_s = self._settings.drain_timeout_s
        self._drain_until = self._clock() + timeout_s
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout_s + 2 * CLOSE_MS / 1000 + 5)
        return self._state == "drained"

    def stats(self) -> WorkerReport:
        """Plain numbers and names for people and dashboards. Thread-safe."""
        pipeline = self._pipeline
        in_flight = pipeline.monitor.in_flight() if pipeline else Counter()
        paused = self._state == "running" and pipeline and pipeline.monitor.paused()
        trouble = self._health.failure or self._health.trouble
        report: WorkerReport = {
            "worker": self._id,
            "state": "paused" if paused else self._state,
            "alarms": self._alarms.texts(),
            "trouble": str(trouble) if trouble else None,
            "lag": sum(lag for lag, _ in self._backlog.values()),
            "partitions": self._backlog,
            "cpu_s": round(time.process_time(), 3),
            "in_flight": in_flight.total(),
            "in_flight_by_partition": dict(in_flight),
            **self._stats.snapshot(),
        }
        if self._stats.recent is not None:
            report["recent"] = self._stats.recent.latest
        return report

    def _run(self, runs: RunFactory) -> None:
        try:
            while not self._stopping.is_set():
                self._restarts.began(self._stats.delivered())
                try:
                    self._run_once(runs)
                    return
                except LabelstreamError as error:
                    if not error.retriable:
                        if isinstance(error, Fenced):
                            runs.clear_transaction()
                        self._fail(error)
                        return
                    self._wait_after(error)
        except BaseException as error:  # a bug: fail loudly and commit nothing
            self._fail(error)
        finally:
            self._commands.close()

    def _wait_after(self, error: LabelstreamError) -> None:
        pause_s = self._restarts.ended(self._stats.delivered())
        self._health.trouble, self._state = error, "restarting"
        self._stats.add(restarts=1)
        logger.error("pipeline %s: %s; restarting from the committed offsets in %.0f s", self._name, error, pause_s)
        self._stopping.wait(pause_s)

    def _fail(self, error: BaseException) -> None:
        self._health.failure, self._state = error, "failed"
        exc_info = None if isinstance(error, LabelstreamError) else error
        logger.critical("pipeline %s stopped: %s", self._name, error, exc_info=exc_info)

    def _run_once(self, runs: RunFactory) -> None:
        with runs.run() as run:
            self._pipeline = run.pipeline
            if self._target_in_flight is not None:
                run.pipeline.set_target_in_flight(self._target_in_flight)
            try:
                self._loop(run)
            finally:
                self._pipeline = None

    def _loop(self, run: Run) -> None:
        """Run the pipeline until `stop`, then drain until nothing is in flight or the time is up."""
        pipeline = run.pipeline
        self._health.loop_began()
        while not self._stopping.is_set():
            pipeline.run_once(accept=True)
            self._after_turn(run)
            self._commands.obey(partial(execute, pipeline))
        self._state = "draining"
        while not pipeline.finished() and self._clock() < self._drain_until:
            pipeline.run_once(accept=False)
            self._after_turn(run)
        drained = pipeline.drained()
        while not pipeline.flush():  # ending a transaction or a rebalance takes iterations
            if self._clock() > self._drain_until:
                drained = False
                break
            pipeline.run_once(accept=False)
        if drained or not self._health.stalled:  # otherwise records in flight are suspect
            run.source.partition_hold.take_back()
        self._state = "drained" if drained else "stopped with messages in flight"

    def _after_turn(self, run: Run) -> None:
        """Update health, lag, alarms and state after an iteration."""
        self._health.looped()
        self._backlog = run.source.lag.by_partition()
        alarms = run.rules.evaluate()
        if alarms is not None:
            self._alarms.update("rules", alarms)
        if self._state in ("starting", "restarting") and run.source.is_member():
            self._state, self._health.trouble = "running", None
            self._restarts.joined()
