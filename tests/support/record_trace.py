"""Follows one record through the files of a worker and of a replica, from the poll to the commit.

Fakes stand in for the broker, kafka-python's network and Ray Serve. Pipeline, model client, replica, tokenizer and
model (the demo's, by torch on the CPU) are the real ones.

Only what happens to the record is noted:

- In each iteration of the loop, the stations that handle the record. The others would work on other records.
- Calls alone. A coroutine that is resumed is no new call, as the return of a function is none.
- No call into the files BESIDE, which get counts and names and not the record.
"""

import inspect
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.producer.record_accumulator import RecordAccumulator

from labelstream.deploy.deployments.model_replica import ModelReplica
from labelstream.deploy.model_client.serve_classifier import ServeClassifier
from labelstream.workers.engine.batching.dynamic_batcher import DynamicBatcher
from labelstream.workers.engine.device_thread import DeviceThread
from labelstream.workers.engine.inference.predictor import Predictor
from labelstream.workers.engine.loading.loader import load
from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.broker.topics import TopicLimits
from labelstream.workers.stream.consumer.source import RecordSource
from labelstream.workers.stream.delivery.at_least_once import AtLeastOnce
from labelstream.workers.stream.pipeline import Pipeline
from labelstream.workers.stream.producer.kafka_producer.batch_producer import BatchProducer
from labelstream.workers.stream.producer.kafka_producer.producers import IdempotentProducer
from labelstream.workers.stream.producer.sink import ResultSink
from labelstream.workers.stream.stats import Stats
from tests.support.fake_consumer import Consumer
from tests.support.fake_handle import FakeHandle
from tests.support.pipeline_bench import A, NetClient, message, record

ROOT = Path(__file__).parents[2]
PARTS = tuple(str(ROOT / part) + "/" for part in ("workers", "deploy", "schemas"))
INLINED = {"<genexpr>", "<listcomp>", "<dictcomp>", "<setcomp>"}  # expressions of the function around them
# Settings and value types, counters, spans of traces and points for tests.
BESIDE = {
    "workers/classifier.py",
    "workers/engine/description.py",
    "workers/failpoints.py",
    "workers/histogram.py",
    "workers/settings/pipeline.py",
    "workers/stream/flow_control/backoff.py",
    "workers/stream/stats.py",
    "workers/tracing.py",
}
STATIONS = ("_poll", "_submit"), ("_produce",), ("_poll_acks", "_commit")  # of the record, by iteration
_RESUMABLE = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


class _Profile:
    """Notes the file of each call in the project's parts, by thread, while `on`. Of its own thread only in stations."""

    def __init__(self) -> None:
        self.on = self._in_station = False
        self.calls: dict[int, list[str]] = defaultdict(list)
        self._thread = threading.get_ident()
        self._entered: dict[int, FrameType] = {}  # keeps the frames, so that no other frame gets their ids

    def __call__(self, frame: FrameType, event: str, arg: object) -> None:
        code, thread = frame.f_code, threading.get_ident()
        if event != "call" or not self.on or not (self._in_station or thread != self._thread):
            return
        if not code.co_filename.startswith(PARTS) or code.co_name in INLINED:
            return
        if code.co_flags & _RESUMABLE:
            if id(frame) in self._entered:
                return
            self._entered[id(frame)] = frame
        file = code.co_filename[len(str(ROOT)) + 1 :]
        if file not in BESIDE:
            self.calls[thread].append(file)

    def station(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """`call`, which is a station of the record."""

        def traced(*given: Any) -> Any:
            self._in_station = True
            try:
                return call(*given)
            finally:
                self._in_station = False

        return traced


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
    pipeline.run_once(True)  # the first poll of a partition commits a crash note and brings nothing
    consumer.polled = {A: [record(40, message("The room was clean"))]}
    sys.setprofile(profile)
    profile.on = True
    _run_once(pipeline, profile, STATIONS[0], accept=True)
    futures[0].result(60)
    _run_once(pipeline, profile, STATIONS[1])
    producer.acknowledge()
    seconds[0] += 1.0
    _run_once(pipeline, profile, STATIONS[2])
    profile.on = False
    assert consumer.committed == {A: 41}


def _run_once(pipeline: Pipeline, profile: _Profile, stations: tuple[str, ...], accept: bool = False) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for station in stations:
            patch.setattr(pipeline, station, profile.station(getattr(pipeline, station)))
        pipeline.run_once(accept)


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
