"""Deploys the application of `labelstream run` on its own topics, and reads the numbers of its processes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from ray import serve

from labelstream.deploy.app import application
from labelstream.deploy.bench.harness.topics import MODEL
from labelstream.deploy.cluster.application import control_client, removal, rollout
from labelstream.deploy.control.reports import ModelReport, PipelineReport, PlacedPipelineReport
from labelstream.deploy.deployments.model_replica import ModelReplica
from labelstream.deploy.names import APP, model_deployment, pipeline_deployment
from labelstream.workers.errors import StartError
from labelstream.workers.settings.application import Settings

START_S = 60.0
_CPU_OF_PROCESS = 2  # Linux: what clock_getcpuclockid(3) puts into the lowest bits of a process's CPU clock


class Processes(NamedTuple):
    """The process ids of the only worker and the only replica."""

    worker: int
    replica: int


@contextmanager
def running(settings: Settings, replica: type[ModelReplica] = ModelReplica) -> Iterator[None]:
    """Deploy the application on the connected Ray, and wait until its workers have their partitions.

    `replica`: used instead of ModelReplica. Raises StartError.
    """
    rollout.deploy(settings, app=application(settings, replica=replica))
    try:
        until = time.monotonic() + START_S
        while not all(_is_running(name) for name in settings.pipelines):
            if time.monotonic() > until:
                raise StartError(f"a worker was assigned no partitions within {START_S:g} s")
            time.sleep(0.1)
        yield
    finally:
        removal.undeploy()


def worker_stats(pipeline: str = "p") -> PlacedPipelineReport | None:
    """The latest report of a pipeline's only worker, at most a second old."""
    return next(iter(control_client.status()["pipelines"].get(pipeline, {}).values()), None)


def _is_running(pipeline: str) -> bool:
    stats = worker_stats(pipeline)
    return stats is not None and stats["state"] == "running"


def worker_stats_now(pipeline: str = "p") -> PipelineReport:
    """The current numbers of a pipeline's only worker."""
    return _stats_now(pipeline_deployment(pipeline))


def model_stats() -> ModelReport:
    """The current numbers of the model's only replica."""
    return _stats_now(model_deployment(MODEL))


def processes(pipeline: str = "p") -> Processes:
    status = control_client.status()
    worker, replica = (next(iter(found.values())) for found in (status["pipelines"][pipeline], status["models"][MODEL]))
    return Processes(worker["pid"], replica["pid"])


def _stats_now(deployment: str) -> Any:
    handle = serve.get_deployment_handle(deployment, APP).options(method_name="stats")
    return handle.remote().result(timeout_s=30)


def cpu_s(pid: int) -> float:
    """CPU seconds of a process of this user on this machine."""
    return time.clock_gettime((~pid << 3) | _CPU_OF_PROCESS)
