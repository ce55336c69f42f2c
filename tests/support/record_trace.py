"""Follows one record through the files of a worker and of a replica, from the poll to the commit.

Fakes stand in for the broker, kafka-python's network and Ray Serve. Pipeline, model client, replica, tokenizer and
model (the demo's, by torch on the CPU) are the real ones. The record is the second one of the worker, so that caches of
names and labels are filled, as in a worker that runs.

Only what happens to the record is noted:

- From the return of the consumer's poll on. Calls before have no record; they are `Walk.before`.
- In each iteration of the loop, the stations that handle the record. The others would work on other records.
- Calls alone. A coroutine that is resumed is no new call, as the return of a function is none.
- No call into the files BESIDE, which get counts and names and not the record.

`python -m tests.support.record_trace` prints the table of docs/explanation/architecture.md.
"""

import asyncio
import inspect
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any, NamedTuple

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
# Threads of a worker, of the calls to a model and of a device; the file with which each next stage begins.
STAGES = (
    (
        ("poll", ""),
        ("decode", "workers/stream/batch_factory.py"),
        ("tokenize", "deploy/model_client/serve_classifier.py"),
        ("queue", "workers/stream/micro_batch.py"),
        ("release", "workers/stream/pipeline.py"),
        ("produce", "workers/stream/delivery/at_least_once.py"),
        ("acknowledge", "workers/stream/pipeline.py"),
        ("commit", "workers/stream/pipeline.py"),
    ),
    (("call", ""), ("batch", "deploy/deployments/model_replica.py"), ("answer", "deploy/model_client/deadlines.py")),
    (
        ("batch", ""),
        ("compute", "workers/engine/inference/predictor.py"),
        ("collect", "workers/engine/batching/device_batches.py"),
    ),
)
ORDER = (
    *("poll", "decode", "tokenize", "queue", "call", "batch", "compute", "collect"),
    *("answer", "release", "produce", "acknowledge", "commit"),
)
SOURCE = "workers/stream/consumer/source.py"
_RESUMABLE = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


class _Profile:
    """Notes the file of each call in the project's parts, by thread, while `on`. Of its own thread only in stations."""

    def __init__(self) -> None:
        self.on = self._in_station = False
        self.calls: dict[int, list[str]] = defaultdict(list)
        self.before: list[str] = []
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

    def arrive(self) -> None:
        """The record is there: what was noted belongs to `before`. The poll returns to the source."""
        if not self.before:
            self.before = self.calls.pop(self._thread)
            self.calls[self._thread].append(SOURCE)

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


class Walk(NamedTuple):
    """The files of one record, named from the checkout's root.

    `threads`: the stays of each thread in order; a stay is a maximal run of calls in one file. `before`: files that
    decide about the poll, before the record is there.
    """

    threads: list[list[str]]
    before: list[str]

    @property
    def stays(self) -> int:
        return sum(map(len, self.threads))

    @property
    def files(self) -> set[str]:
        return {file for thread in self.threads for file in thread}

    def table(self) -> str:
        """The rows of the page: each file once a stage, in the order of its first stay there."""
        stages = defaultdict(list)
        for stays, marks in zip(self.threads, STAGES, strict=True):
            (stage, _), *rest = marks
            for file in stays:
                if rest and file == rest[0][1]:
                    (stage, _), *rest = rest
                stages[stage].append(file)
            assert not rest, f"no stage {rest[0][0]}"
        rows = {"before the poll": self.before} | {stage: stages[stage] for stage in ORDER}
        lines = [
            f"| {name} | {' → '.join(f'`{file}`' for file in dict.fromkeys(files))} |" for name, files in rows.items()
        ]
        beside = ", ".join(f"`{file}`" for file in sorted(BESIDE))
        return "\n".join(["| stage | files in their order |", "|---|---|", *lines, f"| beside the way | {beside} |"])


def trace() -> Walk:
    """Raises AssertionError if the record is not committed."""
    profile = _Profile()
    before = threading.getprofile(), sys.getprofile()
    threading.setprofile(profile)
    try:
        with ExitStack() as closing:
            _run(profile, closing)
    finally:
        threading.setprofile(before[0])
        sys.setprofile(before[1])
    threads = [[file for file, _ in groupby(calls)] for calls in profile.calls.values()]
    return Walk(threads, profile.before)


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
    _pass(pipeline, consumer, producer, seconds, futures)
    consumer.polled = {A: [record(41, message("The room was clean"))]}
    poll = consumer.poll
    consumer.poll = lambda *args, **options: (poll(*args, **options), profile.arrive())[0]
    sys.setprofile(profile)
    profile.on = True
    _run_once(pipeline, profile, STATIONS[0], accept=True)
    futures[1].result(60)
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), classifier._loop).result()  # callbacks of the answer
    _run_once(pipeline, profile, STATIONS[1])
    producer.acknowledge()
    seconds[0] += 1.0
    _run_once(pipeline, profile, STATIONS[2])
    profile.on = False
    assert consumer.committed == {A: 42}


def _pass(pipeline: Pipeline, consumer: Any, producer: "_Producer", seconds: list[float], futures: list[Any]) -> None:
    """The first record, whose walk is not noted."""
    consumer.polled = {A: [record(40, message("The first one"))]}
    pipeline.run_once(True)
    futures[0].result(60)
    pipeline.run_once(False)
    producer.acknowledge()
    seconds[0] += 1.0
    pipeline.run_once(False)
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


if __name__ == "__main__":
    walk = trace()
    print(walk.table())
    print(f"\n{len(walk.files)} files, {walk.stays} stays, {walk.stays - len(walk.files)} re-entries")
