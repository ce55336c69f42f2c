"""System under test: a broker behind a proxy, and the application on a local Ray, with short timeouts."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ray import cloudpickle, serve

from labelstream.deploy.app import application
from labelstream.deploy.cluster.application.rollout import deploy as deploy_application
from labelstream.deploy.cluster.runtime import ray_for
from labelstream.deploy.names import APP
from labelstream.workers.config_file import load_settings
from labelstream.workers.settings.application import Settings
from tests.chaos import inject
from tests.chaos.proxy import in_front_of
from tests.kafka import KafkaBroker
from tests.support import models

PARTITIONS, WORKERS, REPLICAS = 6, 3, 2
DELIVERY_S, MAX_POLL_S, SESSION_S, TRANSACTION_S, ABORT_SCAN_S = 6.0, 6.0, 4.0, 6.0, 1.0
cloudpickle.register_pickle_by_value(inject)  # replicas cannot import the tests


class Stream(NamedTuple):
    """A pipeline and its topics. `outputs`: the output topic first, then the topics of routes."""

    pipeline: str
    input: str
    outputs: tuple[str, ...]
    dead_letter: str
    keeps_timestamp: bool

    @property
    def group(self) -> str:
        return f"labelstream-{self.pipeline}"

    def written(self) -> list[tuple[str, int]]:
        """Topic and number of each partition that the pipeline writes to."""
        return [(topic, number) for topic in self.outputs for number in range(PARTITIONS)] + [(self.dead_letter, 0)]


PLAIN = Stream("plain", "in", ("out",), "dead", keeps_timestamp=False)
RECORDS = Stream("records", "events", ("events.enriched", "events.urgent"), "events.dead", keeps_timestamp=True)
STREAMS = (PLAIN, RECORDS)
FIELD = "severity"  # that the pipeline `records` adds
LEVELS, TEAM = ("error", "fatal"), "^pay"
ROUTED, DROPPED = "POSITIVE", "NEGATIVE"  # labels of `records`: the first is routed, the second dropped if truncated
ENRICHING: dict[str, Any] = {
    "fields": {"text": ["event.title", "event.message"]},
    "only_if": [{"header": "team", "matches": TEAM}, {"field": "level", "in": list(LEVELS)}],
    "otherwise": "pass",
    "output_shape": "enrich",
    "enrich_field": FIELD,
    "on_existing": "replace",
    "on_tombstone": "pass",
    "on_empty_text": "pass",
    "route": [
        {"label": DROPPED, "truncated": True, "topic": None},
        {"label": ROUTED, "min_score": 0.1, "topic": RECORDS.outputs[1]},
    ],
    "output_timestamp": "input",
    "workers": 2,
}


def settings_for(bootstrap: str, source: Path, mode: str, workers: int = WORKERS) -> Settings:
    """`workers`: of the pipeline `plain`."""
    return load_settings(
        {
            "kafka": {
                "bootstrap_servers": bootstrap,
                "session_timeout_ms": int(SESSION_S * 1000),
                "max_poll_interval_ms": int(MAX_POLL_S * 1000),
                "request_timeout_ms": 3_000,
                "delivery_timeout_ms": int(DELIVERY_S * 1000),
                "transaction_timeout_ms": int(TRANSACTION_S * 1000),
            },
            "models": {
                "m": {
                    "source": str(source),
                    "dtype": "float32",
                    "threads": 1,
                    "num_cpus": 0.1,
                    "replicas": {"min": REPLICAS, "max": REPLICAS},
                    "call_timeout_s": 20,
                }
            },
            "pipelines": {
                PLAIN.pipeline: _pipeline(PLAIN, mode, workers=workers),
                RECORDS.pipeline: _pipeline(RECORDS, mode, **ENRICHING),
            },
        }
    )


def _pipeline(stream: Stream, mode: str, **more: Any) -> dict[str, Any]:
    return {
        "input": stream.input,
        "output": stream.outputs[0],
        "dead_letter": stream.dead_letter,
        "model": "m",
        "output_timestamp": "now",  # the verifier needs the time of classification
        "delivery": mode,
        "transaction_interval_ms": 200,
        "commit_interval_ms": 300,
        "max_poll_records": 100,
        "rebalance_drain_s": 3,
        "drain_timeout_s": 10,
        **more,
    }


class System:
    """Owns what `running` starts. `folder`: process ids and orders."""

    def __init__(self, folder: Path, mode: str) -> None:
        self.folder, self.mode, self.workers = folder, mode, WORKERS
        self.model = models.build(folder / "model")
        self.broker = KafkaBroker(
            data=folder / "kafka",
            server_properties={
                "transaction.abort.timed.out.transaction.cleanup.interval.ms": str(int(ABORT_SCAN_S * 1000)),
                "group.min.session.timeout.ms": "1000",
            },
        )
        self.proxy, bootstrap = in_front_of(self.broker)
        self.settings = settings_for(bootstrap, self.model, mode)

    @contextmanager
    def running(self) -> Iterator[None]:
        with ExitStack() as stack:
            stack.callback(self.proxy.close)
            stack.enter_context(self.broker)
            for stream in STREAMS:
                for topic in (stream.input, *stream.outputs):
                    self.broker.create_topic(topic, PARTITIONS)
                self.broker.create_topic(stream.dead_letter, 1)
            more = settings_for(self.settings.required_kafka.bootstrap_servers, self.model, self.mode, WORKERS + 1)
            stack.enter_context(ray_for(more))  # with cores for one more worker
            deploy_application(self.settings, 240, application(self.settings, inject.ChaosWorker, inject.ChaosReplica))
            yield

    def scale(self, workers: int) -> None:
        """Set the number of workers of `plain`; returns when all of them run."""
        self.workers = workers
        settings = settings_for(self.settings.required_kafka.bootstrap_servers, self.model, self.mode, workers)
        changed = application(settings, inject.ChaosWorker, inject.ChaosReplica)
        target = serve.RunTarget(target=changed, name=APP, route_prefix=None)
        serve.run_many([target], wait_for_ingress_deployment_creation=False, wait_for_applications_running=False)
        wait_until(lambda: len(self.workers_of(PLAIN)) == workers, 60, f"{workers} workers")

    def pids(self, kind: str) -> list[int]:
        """Process ids of the running processes of `kind`: "worker" or "replica"."""
        found = [int(path.name.partition("-")[2]) for path in self.folder.glob(f"{kind}-*")]
        return sorted(pid for pid in found if is_alive(pid))

    def workers_of(self, stream: Stream) -> list[int]:
        """Process ids of the running workers of one pipeline."""
        return [pid for pid in self.pids("worker") if (self.folder / f"worker-{pid}").read_text() == stream.pipeline]

    def order(self, point: str, action: str) -> Path:
        """Have the next worker that reaches `point` do `action`. The worker deletes the order's file."""
        path = self.folder / f"at-{point}"
        waiting = path.with_suffix(".new")
        waiting.write_text(action)
        waiting.rename(path)
        return path


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, IndexError):
        return False


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str) -> bool:
    """Did the condition become true in time? Prints a line if not."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            print(f"  {what}: not within {timeout_s:.0f} s", flush=True)
            return False
        time.sleep(0.02)
    return True
