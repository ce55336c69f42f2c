"""Fault injection inside worker and replica processes: they report process ids and die on order.

Orders are files in a folder that all processes share. `at-<point>` holds the action for the first process there.
"""

import logging
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labelstream.deploy.deployments.model_replica import ModelReplica
from labelstream.workers import failpoints
from labelstream.workers.classifier import Classifier
from labelstream.workers.settings.application import Settings
from labelstream.workers.stream.worker import PipelineWorker


class Injector:
    """Failpoint handler. An order is `kill`, or `hold SECONDS`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, point: str) -> None:
        order = self._folder / f"at-{point}"
        if not order.exists():
            return
        claimed = self._folder / f"claimed-{point}-{os.getpid()}"
        try:
            order.rename(claimed)
        except FileNotFoundError:  # another worker took the order
            return
        action, _, seconds = claimed.read_text().partition(" ")
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(float(seconds))


def _log_to(path: Path) -> None:
    """Log stream and client with timestamps, for later analysis. INFO lines contain no message text."""
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(created).3f %(threadName)s %(name)s %(levelname)s %(message)s"))
    for name in ("labelstream", "kafka"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)


class ChaosWorker(PipelineWorker):
    """Reports its process id and pipeline after its start."""

    def __init__(self, name: str, settings: Settings, classifiers: Mapping[str, Classifier], worker_id: str) -> None:
        self._folder = Path(settings.models["m"].source).parent
        super().__init__(name, settings, classifiers, worker_id)
        failpoints.install(Injector(self._folder))

    def start(self) -> None:
        _log_to(self._folder / f"log-{os.getpid()}")
        super().start()
        (self._folder / f"worker-{os.getpid()}").write_text(self._name)


class ChaosReplica(ModelReplica):
    """Reports its process id after loading its model."""

    def __init__(self, spec: dict[str, Any], shown: dict[str, Any]) -> None:
        super().__init__(spec, shown)
        (Path(spec["source"]).parent / f"replica-{os.getpid()}").touch()
