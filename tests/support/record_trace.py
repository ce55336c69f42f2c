"""Follows one record through the files of a worker and of a replica, from the poll to the commit.

Fakes stand in for the broker, kafka-python's network and Ray Serve. Pipeline, model client, replica, tokenizer and
model (the demo's, by torch on the CPU) are the real ones.
"""

import sys
import threading
from collections import defaultdict
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

from kafka import KafkaProducer
from kafka.producer.record_accumulator import RecordAccumulator

from labelstream.deploy.deployments.model_replica import ModelReplica
from labelstream.deploy.model_client.serve_classifier import ServeClassifier
from labelstream.workers.engine.device_thread import DeviceThread
from labelstream.workers.engine.dynamic_batcher import DynamicBatcher
from labelstream.workers.engine.inference.predictor import Predictor
from labelstream.workers.engine.loading.loader import load
from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.settings import PipelineSettings
from labelstream.workers.stream.broker.topics import TopicLimits
from labelstream.workers.stream.consumer.source import RecordSource
from labelstream.workers.stream.delivery.at_least_once import AtLeastOnce
from labelstream.workers.stream.pipeline import Pipeline
from labelstream.workers.stream.producer.batch_producer import BatchProducer
from labelstream.workers.stream.producer.producers import IdempotentProducer
from labelstream.workers.stream.producer.sink import ResultSink
from labelstream.workers.stream.stats import Stats
from tests.support.fake_consumer import Consumer
from tests.support.fake_handle import FakeHandle
from tests.support.pipeline_bench import A, NetClient, message, record

ROOT = Path(__file__).parents[2]
PARTS = tuple(str(ROOT / part) + "/" for part in ("workers", "deploy", "schemas"))
INLINED = {"<listcomp>", "<dictcomp>", "<setcomp>"}  # calls before Python 3.12 only


class _Profile:
    """Notes the file of each call in the project's parts, by thread, while `on`."""

    def __init__(self) -> None:
        self.on = False
        self.calls: dict[int, list[str]] = defaultdict(list)

    def __call__(self, frame: FrameType, event: str, arg: object) -> None:
        code = frame.f_code
        if self.on and event == "call" and code.co_filename.startswith(PARTS) and code.co_name not in INLINED:
            self.calls[threading.get_ident()].append(code.co_filename[len(str(ROOT)) + 1 :])


class _Producer(BatchProducer):
    """As KafkaProducer's constructor leaves it, without a network: `acknowledge` is the broker."""

    def __init__(self) -> None:
        self.config: Any = {**KafkaProducer.DEFAULT_CONFIG, "api_version": (2, 5), "client_id": "test"}
        self._closed, self._transaction_manager = False, None
        self._accumulator: Any = RecordAccumulator(**self.config)
        self._sender: Any = SimpleNamespace(wakeup=lambda: None, _client=NetClient())
        self._metadata = SimpleNamespace(
            partitions_for_topic=lambda topic: {0, 1},
            topics=lambda: {"out"},
            available_partitions_for_topic=lambda topic: {0, 1},
        )

    def __del__(self) -> None:
        """There is nothing to close."""

    def acknowledge(self) -> None:
        for batches in self._accumulator._batches.values():
            for batch in batches:
                batch.complete(0, -1)
            batches.clear()


def trace() -> list[list[str]]:
    """The stays of each thread in order. A stay is a maximal run of calls in one file, named from the checkout's root.

    Raises AssertionError if the record is not committed.
    """
    profile = _Profile()
    before = threading.getprofile(), sys.getprofile()
    threading.setprofile(profile)
    try:
        with ExitStack() as closing:
            _run(profile, closing)
    finally:
        threading.setprofile(before[0])
        sys.setprofile(before[1])
    return [[file for file, _ in groupby(calls)] for calls in profile.calls.values()]


def _run(profile: _Profile, closing: ExitStack) -> None:
    settings = PipelineSettings(input="in", output="out", dead_letter="dlq", model="m", commit_interval_ms=10)
    classifier = _classifier(closing)
    closing.callback(classifier.close)
    consumer: Any = Consumer()
    producer, stats, futures = _Producer(), Stats(), []
    source = RecordSource(consumer, settings, stats)
    sink = ResultSink("p", settings, IdempotentProducer(lambda: producer), TopicLimits())
    submit = classifier.submit
    classifier.submit = lambda *given: futures.append(submit(*given)) or futures[-1]  # type: ignore[method-assign]
    seconds = [0.0]
    delivery = AtLeastOnce(settings, source, sink, stats, clock=lambda: seconds[0])
    pipeline = Pipeline(settings, source, delivery, {"m": classifier}, stats)
    consumer.hold(source, A)
    consumer.polled = {A: [record(40, message("The room was clean"))]}
    sys.setprofile(profile)
    profile.on = True
    pipeline.run_once(True)
    futures[0].result(60)
    pipeline.run_once(False)
    profile.on = False
    producer.acknowledge()
    profile.on = True
    seconds[0] += 1.0
    pipeline.run_once(False)
    profile.on = False
    assert consumer.committed == {A: 41}


def _classifier(closing: ExitStack) -> ServeClassifier:
    description, backend = load(
        str(ROOT / "deploy/demo/model"), ModelOptions(device="cpu", dtype="float32", backend="torch")
    )
    device = DeviceThread("device")
    closing.callback(device.shutdown)
    predictor = device.submit(Predictor, description, backend).result()
    replica: Any = ModelReplica.__new__(ModelReplica)
    replica._description = description
    replica._batcher = DynamicBatcher(device, predictor.begin, 1_000, 0.0)
    handle = FakeHandle(replica.classify, describe=replica.describe)
    return ServeClassifier("m", handle, 60.0, is_noted=handle.noted)
