"""The application with replicas that take a fixed time per forward, and the CPU time of its processes."""

import math
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray import cloudpickle

from labelstream.deploy.app import application
from labelstream.deploy.bench.harness.application import cpu_s
from labelstream.deploy.cluster import runtime
from labelstream.deploy.cluster.application import control_client, rollout
from labelstream.deploy.deployments.model_replica import ModelReplica
from labelstream.workers.classifier import Classifier
from labelstream.workers.config_file import load_settings
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences
from labelstream.workers.settings.application import Settings
from labelstream.workers.settings.model import ModelSettings
from labelstream.workers.stream.worker import PipelineWorker
from tests.benchmarks.throughput.material import MEAN_TOKENS
from tests.support import fake_handle as fakes

FORWARD_TOKENS, FORWARD_S = 1_024, 0.16
PER_REPLICA = FORWARD_TOKENS / MEAN_TOKENS / FORWARD_S
_TICKS = os.sysconf("SC_CLK_TCK")


class FixedForward(fakes.NoPredictor):
    """A forward takes a fixed time, whatever its size."""

    max_batch_tokens = FORWARD_TOKENS
    forward_s = FORWARD_S

    def measure(self) -> float:
        return self.max_batch_tokens / FORWARD_S

    def predict(self, packed: RaggedSequences, top_k: int) -> ScoredSequences:
        time.sleep(math.ceil(len(packed.ids) / self.max_batch_tokens) * self.forward_s)
        return super().predict(packed, top_k)


class NoTime(FixedForward):
    forward_s = 0.0


class Replica(ModelReplica):
    """`source`: a folder with a tokenizer; the name "none" stands for a model that takes no time."""

    @staticmethod
    def _load(settings: ModelSettings, threads: int) -> tuple[ModelDescription, Any, float]:
        folder = Path(settings.source)
        tokenizer = (folder / "tokenizer.json").read_text(encoding="utf-8")
        description = replace(fakes.description(), tokenizer_json=tokenizer, max_length=512)
        predictor = NoTime() if folder.name == "none" else FixedForward()
        return description, predictor, predictor.measure()


class Worker(PipelineWorker):
    """A stream worker that also reports the CPU seconds of its threads."""

    def stats(self) -> Any:
        return {**super().stats(), "threads": threads_cpu_s()}


def make_worker(name: str, settings: Settings, classifiers: Mapping[str, Classifier], worker_id: str) -> Worker:
    return Worker(name, settings, classifiers, worker_id)


def settings_for(
    bootstrap: str, topics: Sequence[str], source: Path, replicas: int, workers: int, **pipeline: Any
) -> Settings:
    """`topics`: input, output, dead letters. `source`: as of `Replica`."""
    source_topic, output, dead_letter = topics
    return load_settings(
        {
            "kafka": {"bootstrap_servers": bootstrap, "session_timeout_ms": 10_000},
            "models": {"m": {"source": str(source), "num_gpus": 0, "num_cpus": 0, "replicas": replicas}},
            "pipelines": {
                "p": {
                    "input": source_topic,
                    "output": output,
                    "dead_letter": dead_letter,
                    "model": "m",
                    "workers": workers,
                    "group_id": f"g-{source_topic}",
                    **pipeline,
                }
            },
        }
    )


@contextmanager
def ray_with_replicas(settings: Settings) -> Iterator[None]:
    """A local Ray, for `run`."""
    # Ray lowers its processes' priority; here they are measured, so they keep the normal one.
    os.environ.setdefault("RAY_worker_niceness", "0")
    for module in (sys.modules[__name__], fakes):
        cloudpickle.register_pickle_by_value(module)  # replicas cannot import the tests
    with runtime.ray_for(settings):
        yield


def run(settings: Settings) -> None:
    """Deploy, or change to, `settings`, and wait until all run."""
    rollout.deploy(settings, 300, application(settings, make_worker, Replica))
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = control_client.status()
        workers, replicas = fresh(found["pipelines"].get("p", {})), fresh(found["models"].get("m", {}))
        if (len(workers), len(replicas)) == (
            settings.pipelines["p"].workers.max,
            settings.models["m"].replicas.max,
        ) and all(worker["state"] == "running" for worker in workers):
            return
        time.sleep(0.5)
    raise TimeoutError("not all are up")


def fresh(reports: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [report for report in reports.values() if report["age_s"] < 3]


def threads_cpu_s() -> dict[str, float]:
    """CPU seconds of this process's threads: Python's by name, all others together."""
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    spent: dict[str, float] = {}
    for task in Path("/proc/self/task").iterdir():
        name = names.get(int(task.name), "native")
        try:
            spent[name] = spent.get(name, 0.0) + _stat_cpu_s(task / "stat")
        except OSError:  # it has ended
            continue
    return spent


def cpu_by_kind(workers: set[int], replicas: set[int], broker: int) -> dict[str, float]:
    """CPU seconds so far: of broker, workers, replicas, control plane, Serve's controller, the rest of Ray."""
    spent = {"workers": 0.0, "replicas": 0.0, "board": 0.0, "controller": 0.0, "ray": 0.0, "broker": cpu_s(broker)}
    for pid in _descendants(os.getpid()) - {broker}:
        with suppress(OSError):  # it has ended
            title = Path(f"/proc/{pid}/cmdline").read_bytes()
            kind = (
                "workers"
                if pid in workers
                else "replicas"
                if pid in replicas
                else "controller"
                if b"ServeController" in title
                else "board"
                if b":board" in title
                else "ray"
            )
            spent[kind] += cpu_s(pid)
    return spent


def _descendants(root: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(folder.name))
    found, left = set(), [root]
    while left:
        found.update(below := children.get(left.pop(), []))
        left += below
    return found


def _stat_cpu_s(path: Path) -> float:
    fields = path.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
