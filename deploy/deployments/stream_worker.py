"""One worker of one pipeline as a Serve replica, so that Serve starts, checks and restarts workers like models."""

import asyncio
import gc
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Protocol

from ray import serve

from labelstream.deploy.cluster import network
from labelstream.deploy.control.reporter import Reporter
from labelstream.deploy.control.reports import PipelineReport
from labelstream.deploy.model_client.serve_classifier import ServeClassifier
from labelstream.deploy.observability import telemetry
from labelstream.deploy.observability.metrics.samples import of_worker
from labelstream.workers.classifier import Classifier
from labelstream.workers.config_file import load_settings
from labelstream.workers.engine.description import ModelDescription, TaskName
from labelstream.workers.errors import ConfigError
from labelstream.workers.records.routes import unknown_labels
from labelstream.workers.settings.application import Settings
from labelstream.workers.stream.report import WorkerReport
from labelstream.workers.stream.supervision.commands import Command, CommandAnswer


class Worker(Protocol):
    """The part of `labelstream.workers.stream.worker.PipelineWorker` that is used here."""

    def start(self) -> None: ...
    def check(self) -> None: ...
    def stop(self, timeout_s: float | None = None) -> bool: ...
    def stats(self) -> WorkerReport: ...
    def command(self, command: Command, timeout_s: float) -> "Future[CommandAnswer]": ...
    def set_target_in_flight(self, calls: int) -> None: ...


MakeWorker = Callable[[str, Settings, Mapping[str, Classifier], str], Worker]


class StreamWorker:
    """One worker of the pipeline `pipeline`.

    - `config`: the settings without secrets. Secrets come from this process's environment or from files.
    - `models`: a Serve handle for each model that the pipeline may use.

    The constructor waits until the models are up. Raises a LabelstreamError with the fix if a model, a broker or a
    topic is missing.
    """

    async def __init__(
        self, pipeline: str, config: dict[str, Any], models: Mapping[str, Any], make_worker: MakeWorker | None = None
    ) -> None:
        # Asynchronous, with threads for blocking calls: Serve cannot stop a replica whose constructor blocks the event
        # loop, and this constructor may wait half an hour for the models.
        self._stopping = threading.Lock()
        self._stopped = False
        self._drained = True
        self._worker: Worker | None = None
        self._reporter: Reporter[PipelineReport] | None = None
        self._classifiers: dict[str, ServeClassifier] = {}
        network.set_up_replica()
        settings = load_settings(config)
        telemetry.set_up(settings.telemetry)
        max_tokens = settings.pipelines[pipeline].limits.max_tokens_per_message
        try:
            for name, handle in models.items():
                timeout_s = settings.models[name].call_timeout_s
                self._classifiers[name] = await asyncio.to_thread(
                    ServeClassifier, name, handle, timeout_s, max_tokens=max_tokens
                )
            check_route(pipeline, settings, {name: model.description for name, model in self._classifiers.items()})
            replica = serve.get_replica_context().replica_id.unique_id
            worker = (make_worker or _pipeline_worker)(pipeline, settings, self._classifiers, f"{pipeline}-{replica}")
            await asyncio.to_thread(worker.start)
        except BaseException:
            self._close()
            raise
        self._worker = worker
        self._reporter = Reporter(
            "pipelines", self.stats, of_worker, take=worker.command, set_target_in_flight=worker.set_target_in_flight
        )
        _calm_collector()

    def stats(self) -> PipelineReport:
        """Counts and states since the start, as plain data."""
        assert self._worker is not None
        tokens = {name: classifier.tokens for name, classifier in self._classifiers.items()}
        return {**self._worker.stats(), "tokens": tokens}

    async def check_health(self) -> None:
        """Hook of Serve. Raises if the worker is dead or makes no progress; never while the worker stops."""
        if self._worker is not None and not self._stopped:
            self._worker.check()

    async def drain(self) -> bool:
        """Finish what is in flight, commit, and leave the group; the worker is idle until it is deleted.

        Call this before the models are removed. True if everything in flight was finished.
        """
        return await asyncio.to_thread(self._stop)

    def __del__(self) -> None:
        # Serve calls this at the end of a replica's life, within graceful_shutdown_timeout_s. Blocking is allowed:
        # replicas run user code in a thread that neither the classifiers nor the pipeline need.
        self._stop()

    def _stop(self) -> bool:
        with self._stopping:
            if not self._stopped:
                self._stopped = True
                if self._worker is not None:
                    self._drained = self._worker.stop()
                self._close()
            return self._drained

    def _close(self) -> None:
        if self._reporter is not None:
            self._reporter.stop()
        for classifier in self._classifiers.values():
            classifier.close()


def check_route(pipeline: str, settings: Settings, models: Mapping[str, ModelDescription]) -> None:
    """Raises ConfigError if a rule names a label that no model has; the labels of zero-shot are the messages'."""
    rules = settings.pipelines[pipeline].route
    if any(model.task == TaskName.ZERO_SHOT for model in models.values()):
        return
    labels = {
        label for model in models.values() if model.task == TaskName.TEXT_CLASSIFICATION for label in model.labels
    }
    if unknown := unknown_labels(rules, labels):
        known = ", ".join(sorted(labels)[:10]) or "none"
        raise ConfigError(
            f"pipelines.{pipeline}.route", f"unknown label {unknown[0]!r}", f"name one of the models' labels: {known}"
        )


def _pipeline_worker(name: str, settings: Settings, classifiers: Mapping[str, Classifier], worker_id: str) -> Worker:
    from labelstream.workers.stream.worker import PipelineWorker

    return PipelineWorker(name, settings, classifiers, worker_id)


def _calm_collector() -> None:
    """Make garbage collections rare, and exclude the objects of imported modules.

    A micro-batch in flight is thousands of live objects without cycles, which each collection would traverse.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
