"""Our whole way, topic to topic, on a local Ray: the very application that `labelstream run` deploys."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from confluent_kafka import Consumer, TopicPartition

import deploy.app
from deploy.replica import ModelReplica
from deploy.runtime import deploy as deploy_settings
from deploy.runtime import ray_for, status
from workers.engine.description import ModelDescription
from workers.engine.packed import PackedSequences, ScoredSequences
from workers.settings import ModelSettings, Settings, load_settings


class NullPredictor:
    """Answers at once: what is left is the worker's own part."""

    max_batch_tokens = 16_384

    def predict(self, packed: PackedSequences, top_k: int) -> ScoredSequences:
        n = len(packed.lengths)
        scores = np.tile(np.array([[0.75, 0.25]], np.float32), (n, 1))
        return ScoredSequences(np.tile(np.array([[1, 0]], np.int32), (n, 1))[:, :top_k], scores[:, :top_k], {})


class NullReplica(ModelReplica):
    """The replica as it is, with a model that takes no time."""

    @staticmethod
    def _load(settings: ModelSettings, threads: int) -> tuple[ModelDescription, Any]:
        description, _ = ModelReplica._load(settings, threads)
        return description, NullPredictor()


def settings_for(model: str, bootstrap: str, topics: tuple[str, str, str]) -> Settings:
    source, output, dead_letter = topics
    return load_settings({
        "kafka": {"bootstrap_servers": bootstrap},
        "models": {"m": {"source": model}},
        "pipelines": {"p": {"input": source, "output": output, "dead_letter": dead_letter, "model": "m",
                            "group_id": f"bench-{uuid.uuid4().hex[:8]}"}},
    })


@contextmanager
def running(settings: Settings, null: bool = False) -> Iterator[None]:
    """The application runs, its consumer has its partitions, and everything is warm."""
    original = deploy.app.ModelReplica
    deploy.app.ModelReplica = NullReplica if null else original  # type: ignore[misc]
    try:
        with ray_for(settings):
            deploy_settings(settings)
            while worker_stats().get("state") != "running":
                time.sleep(0.1)
            yield
    finally:
        deploy.app.ModelReplica = original  # type: ignore[misc]


def worker_stats() -> dict[str, Any]:
    """The one worker's latest numbers."""
    workers = status()["pipelines"].get("p", {})
    return next(iter(workers.values()), {})


class Finish:
    """Sees when the output topic holds so many records more."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "finish", "log_level": 2})
        numbers = self._consumer.list_topics(topic, timeout=10).topics[topic].partitions
        self._partitions = [TopicPartition(topic, number) for number in numbers]

    def count(self) -> int:
        return sum(self._consumer.get_watermark_offsets(p, timeout=10)[1] for p in self._partitions)

    def wait(self, count: int, timeout_s: float = 600) -> None:
        deadline = time.monotonic() + timeout_s
        while self.count() < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.count()} of {count} records after {timeout_s} s")
            time.sleep(0.1)  # each look is a request per partition to a broker that shares the cores with the rest

    def close(self) -> None:
        self._consumer.close()
