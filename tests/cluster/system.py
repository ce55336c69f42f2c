"""Ray nodes with simulated GPUs, a real Kafka, and replicas that take a fixed time for each text."""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import ray
from confluent_kafka import Consumer, Producer, TopicPartition
from ray import cloudpickle, serve
from ray.cluster_utils import Cluster

from labelstream.deploy.app import application
from labelstream.deploy.cluster import runtime
from labelstream.deploy.cluster.application import removal, rollout
from labelstream.deploy.control.control_plane import ControlPlane
from labelstream.deploy.control.scaling import targets
from labelstream.deploy.deployments.model_replica import ModelReplica
from labelstream.deploy.names import APP
from labelstream.workers.config_file import load_settings
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences
from labelstream.workers.settings.application import Settings
from labelstream.workers.settings.model import ModelSettings
from tests.kafka import Broker
from tests.support import fake_handle as fakes

PER_TEXT_S = 0.004
HASTY_S = 10.0
WORDS = 28  # words of a text, without its two special tokens
PARTITIONS = 12


class FixedTime(fakes.NoPredictor):
    max_batch_tokens = 4_096

    def measure(self) -> float:
        return (WORDS + 2) / PER_TEXT_S

    def predict(self, packed: RaggedSequences, top_k: int) -> ScoredSequences:
        time.sleep(len(packed.lengths) * PER_TEXT_S)
        return super().predict(packed, top_k)


class FixedTimeReplica(ModelReplica):
    @staticmethod
    def _load(settings: ModelSettings, threads: int) -> tuple[ModelDescription, Any, float]:
        predictor = FixedTime()
        return fakes.description(), predictor, predictor.measure()

    def place(self) -> tuple[str, int]:
        """(node, process) of this replica."""
        return ray.get_runtime_context().get_node_id(), os.getpid()


class HastyBoard(ControlPlane):
    """Control plane that scales an idle model to zero after seconds instead of minutes."""

    def __init__(self, *arguments: Any) -> None:
        targets.IDLE_S = targets.DOWN_S = HASTY_S
        super().__init__(*arguments)


def _pickle_by_value() -> None:
    import tests.cluster.system

    for module in (tests.cluster.system, fakes):
        cloudpickle.register_pickle_by_value(module)  # replicas cannot import the tests


class Topics(NamedTuple):
    input: str
    output: str
    dead_letter: str

    @classmethod
    def made(cls, kafka: Broker, name: str) -> "Topics":
        topics = cls(*(f"{name}-{part}" for part in ("in", "out", "dead")))
        for topic in topics:
            kafka.create_topic(topic, PARTITIONS)
        return topics


def settings_for(bootstrap: str, topics: Topics, replicas: Any, workers: Any, **model: Any) -> Settings:
    return load_settings(
        {
            "kafka": {"bootstrap_servers": bootstrap, "session_timeout_ms": 10_000},
            "models": {
                "m": {
                    "source": "fake",
                    "num_gpus": 1,
                    "num_cpus": 0,
                    "replicas": replicas,
                    "call_timeout_s": 60,
                    **model,
                }
            },
            "pipelines": {"p": {**topics._asdict(), "model": "m", "workers": workers, "group_id": f"g-{topics.input}"}},
        }
    )


@contextmanager
def cluster_of(gpus: list[int]) -> Iterator[Cluster]:
    """A head without GPUs for workers and everything else, and one node with `gpus[i]` GPUs for each entry."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 16, "include_dashboard": False})
    try:
        for count in gpus:
            add_node(cluster, count)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def add_node(cluster: Cluster, gpus: int) -> Any:
    # Without CPUs, so that no worker runs there.
    return cluster.add_node(num_cpus=0, num_gpus=gpus)


@contextmanager
def running(cluster: Cluster, settings: Settings) -> Iterator[None]:
    _pickle_by_value()
    with runtime.ray_for(settings, cluster.address):
        run(settings)
        try:
            yield
        finally:
            removal.undeploy()


def run(settings: Settings) -> None:
    """Deploy or update `settings`, with replicas that take a fixed time."""
    rollout.deploy(settings, 240, application(settings, replica=FixedTimeReplica))


def places() -> list[tuple[str, int]]:
    """(node, process) of every replica of the model."""
    handle: Any = serve.get_deployment_handle("model-m", APP)
    return list(handle.broadcast("place").results(timeout_s=30))


class Stream:
    """Produces `per_s` messages/s (may be set at any time) until `close`, and reads the results."""

    def __init__(self, bootstrap: str, topics: Topics, per_s: float) -> None:
        self._bootstrap, self._topics, self.per_s = bootstrap, topics, per_s
        self.arrivals: list[list[int]] = []  # by second and partition
        self.sent = 0
        self.results: dict[int, int] = {}  # message id -> number of results
        self.gaps: list[float] = []
        self._began = time.monotonic()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._produce, self._read)]
        for thread in self._threads:
            thread.start()

    def now(self) -> float:
        return time.monotonic() - self._began

    def close(self, timeout_s: float) -> None:
        """Stop producing, and wait for all results."""
        self.per_s = 0
        deadline = time.monotonic() + timeout_s
        while len(self.results) < self.sent and time.monotonic() < deadline:
            time.sleep(0.2)
        self._ended.set()
        for thread in self._threads:
            thread.join(10)

    def _produce(self) -> None:
        producer = Producer({"bootstrap.servers": self._bootstrap, "linger.ms": 5})
        words, due, before = " ".join("a" * (WORDS - 1)), 0.0, self.now()
        while not self._ended.is_set():
            time.sleep(0.02)
            now = self.now()
            due, before = due + (now - before) * self.per_s, now
            for _ in range(int(due)):
                partition = self.sent % PARTITIONS
                message = {"text": f"{words} {self.sent}", "id": self.sent}  # equal texts would be computed once
                producer.produce(self._topics.input, json.dumps(message), partition=partition)
                self._count(int(now), partition)
                self.sent += 1
                producer.poll(0)
            due -= int(due)
        producer.flush(30)

    def _count(self, second: int, partition: int) -> None:
        while len(self.arrivals) <= second:
            self.arrivals.append([0] * PARTITIONS)
        self.arrivals[second][partition] += 1

    def _read(self) -> None:
        consumer = Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                "group.id": "reader",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
            }
        )
        consumer.assign([TopicPartition(self._topics.output, number, 0) for number in range(PARTITIONS)])
        last = self.now()
        while not self._ended.is_set():
            for message in consumer.consume(500, timeout=0.1):
                if not message.error():
                    number = json.loads(message.value() or b"")["id"]
                    self.results[number] = self.results.get(number, 0) + 1
                    self.gaps.append(self.now() - last)
                    last = self.now()
        consumer.close()
