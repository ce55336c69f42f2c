"""Our whole way, topic to topic, on a local Ray: the very application that `labelstream run` deploys."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
from confluent_kafka import Consumer, TopicPartition

import deploy.app
from deploy.replica import ModelReplica
from deploy.runtime import deploy as deploy_settings
from deploy.runtime import ray_for, status
from tests.unit.deploy.fakes import NoPredictor
from workers.engine.description import ModelDescription
from workers.engine.packed import PackedSequences, ScoredSequences
from workers.settings import ModelSettings, Settings, load_settings


class NullPredictor(NoPredictor):
    """Answers at once: what is left is the worker's own part."""

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


Topics = tuple[str, str, str]  # input, output, dead letters


def settings_for(model: str, bootstrap: str, at_least_once: Topics, exactly_once: Topics) -> Settings:
    """The pipelines `p` and `x` with the same model, the second one exactly-once."""
    run = uuid.uuid4().hex[:8]

    def pipeline(topics: Topics, delivery: str) -> dict[str, str]:
        source, output, dead_letter = topics
        return {"input": source, "output": output, "dead_letter": dead_letter, "model": "m", "delivery": delivery,
                "group_id": f"bench-{delivery}-{run}"}

    return load_settings({
        "kafka": {"bootstrap_servers": bootstrap},
        "models": {"m": {"source": model}},
        "pipelines": {"p": pipeline(at_least_once, "at_least_once"), "x": pipeline(exactly_once, "exactly_once")},
    })


@contextmanager
def running(settings: Settings, null: bool = False) -> Iterator[None]:
    """The application runs, and its consumers have their partitions."""
    replica = NullReplica if null else ModelReplica
    with patch.object(deploy.app, "ModelReplica", replica), ray_for(settings):
        deploy_settings(settings)
        while any(worker_stats(name).get("state") != "running" for name in settings.pipelines):
            time.sleep(0.1)
        yield


def worker_stats(pipeline: str = "p") -> dict[str, Any]:
    """The latest numbers of a pipeline's one worker."""
    workers = status()["pipelines"].get(pipeline, {})
    return next(iter(workers.values()), {})


class Finish:
    """A read_committed reader that sees when so many records more have come out."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "finish", "log_level": 2,
                                   "enable.auto.commit": False, "isolation.level": "read_committed"})
        numbers = self._consumer.list_topics(topic, timeout=10).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, number, 0) for number in numbers])

    def wait(self, count: int, timeout_s: float = 600) -> None:
        deadline, seen = time.monotonic() + timeout_s, 0
        while seen < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{seen} of {count} records after {timeout_s} s")
            seen += sum(not message.error() for message in self._consumer.consume(1_000, timeout=0.1))

    def close(self) -> None:
        self._consumer.close()
