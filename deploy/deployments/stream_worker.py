"""One worker of one pipeline as a Serve replica: Serve starts, watches, restarts and ends it like the models."""

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
from labelstream.workers.settings import Settings
from labelstream.workers.stream.report import WorkerReport
from labelstream.workers.stream.supervision.commands import Command, CommandAnswer


class Worker(Protocol):
    """What is asked of `labelstream.workers.stream.worker.PipelineWorker`."""

    def start(self) -> None: ...
    def check(self) -> None: ...
    def stop(self, timeout_s: float | None = None) -> bool: ...
    def stats(self) -> WorkerReport: ...
    def command(self, command: Command, timeout_s: float) -> "Future[CommandAnswer]": ...
    def set_target_in_flight(self, calls: int) -> None: ...


MakeWorker = Callable[[str, Settings, Mapping[str, Classifier], str], Worker]


class StreamWorker:
    """`config`: the settings without secrets, which come from this process's environment or files.

    `models`: a Serve handle for each model that the pipeline may use. Waits until these are up. Raises a
    LabelstreamError that a person can act on when models, brokers or topics are not there.
    """

    async def __init__(
        self, pipeline: str, config: dict[str, Any], models: Mapping[str, Any], make_worker: MakeWorker | None = None
    ) -> None:
        # Asynchronous, with threads for what blocks: Serve cannot end a replica whose constructor holds its loop,
        # and this one may wait for half an hour until the models are there.
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
        """Plain numbers since the start, for people and dashboards."""
        assert self._worker is not None
        tokens = {name: classifier.tokens for name, classifier in self._classifiers.items()}
        return {**self._worker.stats(), "tokens": tokens}

    async def check_health(self) -> None:
        """Serve's hook: raises when the worker is dead or makes no progress; not while it is being stopped."""
        if self._worker is not None and not self._stopped:
            self._worker.check()

    async def drain(self) -> bool:
        """Finish what is in flight, commit and leave the group; the worker stays idle then until it is deleted.

        To be called before the models go away. True when everything in flight was finished.
        """
        return await asyncio.to_thread(self._stop)

    def __del__(self) -> None:
        # Serve calls this at the end of a replica's life, within graceful_shutdown_timeout_s, and it may block:
        # replicas run user code on a thread of its own, and neither the classifiers nor the pipeline need that one.
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


def _pipeline_worker(name: str, settings: Settings, classifiers: Mapping[str, Classifier], worker_id: str) -> Worker:
    from labelstream.workers.stream.worker import PipelineWorker

    return PipelineWorker(name, settings, classifiers, worker_id)


def _calm_collector() -> None:
    """Let the garbage collector look at this process's young objects seldom, and at what its imports made never.

    A micro-batch in flight is thousands of live objects without cycles, which it would walk through again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
