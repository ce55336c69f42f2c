"""The application that `labelstream run` deploys, on topics of its own, and what its processes say of themselves."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

from ray import serve

import deploy.app
from deploy import runtime
from deploy.names import APP, model_deployment
from deploy.replica import ModelReplica
from workers.errors import StartError
from workers.settings import KafkaSettings, Settings, load_settings

MODEL = "m"
START_S = 60.0
_CPU_OF_PROCESS = 2  # Linux: what clock_getcpuclockid(3) puts into the lowest bits of a process's CPU clock


class Topics(NamedTuple):
    input: str
    output: str
    dead_letter: str


class Processes(NamedTuple):
    """The one worker's and the one replica's."""

    worker: int
    replica: int


def topics_of(run: str) -> Topics:
    """Names that nobody else has, if `run` is one."""
    return Topics(*(f"labelstream-bench.{run}.{part}" for part in ("texts", "labels", "dead-letters")))


def group_of(topics: Topics) -> str:
    """The consumer group of its worker."""
    return topics.input.replace(".texts", "")


def settings_for(
    kafka: KafkaSettings, model: Mapping[str, Any], pipelines: Mapping[str, Topics],
    delivery: Mapping[str, str] | None = None,
) -> Settings:
    """Pipelines with the same model, each with one worker. `delivery`: of those that are not at-least-once.

    Secrets come from the environment or files, as everywhere.
    """
    found = {
        name: {**topics._asdict(), "model": MODEL, "group_id": group_of(topics),
               "delivery": (delivery or {}).get(name, "at_least_once")}
        for name, topics in pipelines.items()
    }
    return load_settings({"kafka": plain(kafka), "models": {MODEL: dict(model)}, "pipelines": found})


def plain(kafka: KafkaSettings) -> dict[str, Any]:
    """As data, without secrets."""
    return kafka.model_dump(mode="json", exclude_unset=True, exclude={"security": {"password", "key_password"}})


@contextmanager
def running(settings: Settings, replica: type = ModelReplica) -> Iterator[None]:
    """The application runs, on the Ray that we are connected to, and its workers have their partitions.

    `replica`: in place of ModelReplica. Raises StartError.
    """
    with patch.object(deploy.app, "ModelReplica", replica):
        app = deploy.app.application(settings)
    runtime.deploy(settings, app=app)
    try:
        until = time.monotonic() + START_S
        while any(worker_stats(name).get("state") != "running" for name in settings.pipelines):
            if time.monotonic() > until:
                raise StartError(f"a worker has got no partitions for {START_S:g} s")
            time.sleep(0.1)
        yield
    finally:
        runtime.undeploy(settings)


def worker_stats(pipeline: str = "p") -> dict[str, Any]:
    """The latest numbers of a pipeline's one worker; at most a second old."""
    return next(iter(runtime.status()["pipelines"].get(pipeline, {}).values()), {})


def model_stats() -> dict[str, Any]:
    """Of the model's one replica, of this moment."""
    handle = serve.get_deployment_handle(model_deployment(MODEL), APP).options(method_name="stats")
    return handle.remote().result(timeout_s=30)


def processes(pipeline: str = "p") -> Processes:
    status = runtime.status()
    worker, replica = (next(iter(found.values())) for found in
                       (status["pipelines"][pipeline], status["models"][MODEL]))
    return Processes(worker["pid"], replica["pid"])


def cpu_s(pid: int) -> float:
    """CPU seconds of a process of this user on this machine."""
    return time.clock_gettime((~pid << 3) | _CPU_OF_PROCESS)
