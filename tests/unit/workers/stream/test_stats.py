"""Where a micro-batch's time goes: the parts add up, and each is what it says."""

import json
import math
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.workers.classifier import Request
from labelstream.workers.stream.consumer.assignment import PartitionProgress
from labelstream.workers.stream.delivery.base import stages
from labelstream.workers.stream.micro_batch import Item, MicroBatch
from labelstream.workers.stream.model_call import ModelCall
from labelstream.workers.stream.producer.produced_batch import ProducedBatch
from labelstream.workers.stream.stats import LATENCIES_KEPT_S, MAX_LABELS, OTHER, Stages, Stats, Tally
from tests.support.clock import Clock
from tests.support.fakes import HeldClassifier
from tests.support.metric_samples import worker_stats
from tests.support.pipeline_bench import A, Bench, message, record

HELD_S = 0.05
times = st.floats(0, 10, allow_nan=False)


def items(count: int) -> list[Item]:
    return [Item(record(offset, b""), PartitionProgress(A)) for offset in range(count)]


@given(done=st.lists(st.none() | st.floats(-1, 0)), wait_s=times, produce_s=times)
def test_the_parts_add_up_and_none_is_negative(done: list[float | None], wait_s: float, produce_s: float) -> None:
    """None: the callback of a call's future has not been called yet, though its answer was seen."""
    polled_at = time.monotonic()
    models = [HeldClassifier() for _ in done]
    calls = [ModelCall("m", [row], [Request("a")], model) for row, model in enumerate(models)]
    batch = MicroBatch(items(len(done)), calls, [], Counter(), polled_at)
    for model in models:
        model.answer()
    for call, before_s in zip(calls, done, strict=True):
        call.done_at = None if before_s is None else time.monotonic() + before_s
    batch.resolve()
    sent_at = time.monotonic() + wait_s
    batch.repair([])
    batch.resolve()
    produced = ProducedBatch(batch)
    produced.sent_at = sent_at
    parts = stages(produced, sent_at + produce_s)
    assert min(parts) >= 0
    assert parts.wait >= wait_s
    end = sent_at + produce_s
    assert parts.produce == end - sent_at
    assert sum(parts) == pytest.approx(end - polled_at, abs=4 * math.ulp(end))  # each part is rounded


def test_each_part_is_what_it_says() -> None:
    """The second micro-batch is answered at once, and waits for the first one's answer; then for acknowledgements."""
    slow, fast = HeldClassifier(), HeldClassifier()
    bench = Bench(classifiers={"m": slow, "other": fast}, models=["other"])
    bench.producer.hold = True
    bench.feed(message("a"))
    bench.feed(message("b", model="other"), first=1)
    bench.turn_until(lambda: bench.pipeline.monitor.in_flight() == {"in:0": 2})
    fast.answer()
    time.sleep(HELD_S)
    slow.answer()
    bench.turn_until(lambda: len(bench.producer.acks) == 2)
    assert all(sum(buckets["counts"]) == 0 for buckets in bench.stats.snapshot()["stages"].values())
    time.sleep(2 * HELD_S)
    for ack in bench.producer.acks:
        ack.success(None)
    bench.run_dry()
    found = bench.stats.snapshot()["stages"]
    assert [sum(buckets["counts"]) for buckets in found.values()] == [2] * 4
    assert found["classify"]["sum"] >= HELD_S
    assert found["wait"]["sum"] >= HELD_S
    assert found["produce"]["sum"] >= 4 * HELD_S


def test_answered_batch_counts_as_waiting_for_turn() -> None:
    clock, slow, fast = Clock(), HeldClassifier(), HeldClassifier()
    calls = [
        ModelCall("m", [0], [Request("a")], slow, clock),
        ModelCall("other", [1], [Request("b")], fast, clock),
    ]
    batch = MicroBatch(items(2), calls, [], Counter(), clock.now - 1, clock=clock)
    for held in (slow, fast):
        clock.now += 2
        held.answer()
    clock.now += 8
    batch.resolve()
    clock.now += 16
    parts = stages(ProducedBatch(batch, clock=clock), clock.now + 32)
    assert parts == Stages(decode=1, classify=4, wait=24, produce=32)


def test_labels_are_bounded() -> None:
    stats = Stats()
    for number in range(3 * MAX_LABELS):
        tally = Tally()
        tally.labels["m", f"label {number}"] += 1
        stats.sent(tally, Stages(0, 0, 0, 0))
    labels = stats.snapshot()["labels"]["m"]
    assert len(labels) == MAX_LABELS + 1
    assert labels[OTHER] == 2 * MAX_LABELS


def test_a_workers_numbers_are_plain_data() -> None:
    assert json.loads(json.dumps(worker_stats()))["by_partition"]["in:3"] == {
        "in": 4,
        "results": 1,
        "skipped": 0,
        "dead_letters": {"empty_text": 2},
    }


def test_latencies_of_long_ago_are_not_told() -> None:
    clock = Clock()
    stats = Stats(clock)
    stats.sent(Tally(latencies_ms=[5.0, 7.0]), Stages(0, 0, 0, 0))
    clock.now += LATENCIES_KEPT_S
    assert stats.snapshot()["latency_ms"] == {"p50": 5.0, "p99": 5.0}
    clock.now += 1
    assert stats.snapshot()["latency_ms"] == {}
