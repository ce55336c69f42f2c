"""The breaker in the stream: what is held back, and how it goes on, with both ways of delivery."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from labelstream.workers.classifier import Fault, Prediction, RecordError, Request
from labelstream.workers.stream.broker.topics import TopicLimits
from labelstream.workers.stream.delivery.exactly_once import ExactlyOnce
from labelstream.workers.stream.pipeline import Pipeline
from labelstream.workers.stream.producer.sink import ResultSink
from tests.support.clock import Clock
from tests.support.fakes import FakeClassifier, predict
from tests.support.pipeline_bench import A, Bench, message

POISON, GOOD, BROKEN = message("poison"), message("good"), b"{"
LIMITS = {"max_share": 0.5, "min_messages": 4, "probe_s": 1_000}


class FakeTransactions:
    """Stands in for TransactionalProducer: every commit succeeds at once."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def send(self, topic: str, record: Any) -> Any:
        return self._bench.producer.send(
            topic, record.value, record.key, record.headers, record.partition, record.timestamp_ms
        )

    def send_batch(self, topic: str, records: Any) -> list[Any]:
        return self._bench.producer.send_batch(topic, records)

    def partitions(self, topic: str) -> set[int]:
        return {0, 1}

    def throttled_s(self) -> float:
        return 0.0

    def ready(self) -> bool:
        return True

    def commit(self, offsets: Any, membership: Any, wake: Callable[[], None]) -> Any:
        self._bench.source.commits.append(offsets)
        outcome: Future[None] = Future()
        outcome.set_result(None)
        wake()
        return outcome

    def committed(self) -> None: ...
    def abort(self) -> None: ...


def exactly_once(bench: Bench, clock: Callable[[], float]) -> None:
    producer: Any = FakeTransactions(bench)
    source: Any = bench.source
    source.group_metadata = lambda: "member"
    sink = ResultSink("p", bench.settings, producer, TopicLimits())
    delivery = ExactlyOnce(bench.settings, source, sink, producer, bench.stats, 30)
    bench.pipeline = Pipeline(bench.settings, source, delivery, {"m": bench.classifier}, bench.stats, clock=clock)


class Repairable:
    """A model that refuses "poison" until it is repaired."""

    def __init__(self) -> None:
        self.repaired = False

    def __call__(self, request: Request) -> Prediction | RecordError:
        return predict(request._replace(text="better") if self.repaired else request)


@pytest.fixture(params=["at_least_once", "exactly_once"])
def make(request: pytest.FixtureRequest) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(clock: Callable[[], float] = time.monotonic, **more: Any) -> Bench:
        breaker = {**LIMITS, **more.pop("breaker", {})}
        classifier = FakeClassifier(Repairable())
        made.append(Bench(breaker=breaker, transaction_interval_ms=10, classifier=classifier, clock=clock, **more))
        if request.param == "exactly_once":
            exactly_once(made[-1], clock)
        return made[-1]

    yield make
    for bench in made:
        bench.classifier.close()


def held(bench: Bench) -> None:
    bench.turn_until(lambda: bench.pipeline.breaker.is_open)
    for _ in range(20):
        bench.pipeline.run_once(accept=True)


def done(bench: Bench) -> int:
    """The offset that is committed."""
    return max((commit.get(A, 0) for commit in bench.source.commits), default=0)


def test_the_breakers_time_is_not_the_models(make: Callable[..., Bench]) -> None:
    """Even where it has asked again before it let go."""
    bench = make(breaker={"probe_s": 0.05})
    bench.feed(POISON, POISON, POISON, POISON)
    bench.turn_until(lambda: bench.pipeline.breaker.is_open)
    (batch,) = bench.pipeline._in_flight
    answered_at, now = batch.answered_at, time.monotonic()
    assert answered_at <= now
    bench.turn_until(lambda: len(bench.classifier.calls) > 2)
    bench.classifier._answer.repaired = True  # type: ignore[attr-defined]
    bench.turn_until(lambda: bench.stats.snapshot()["results_out"] == 4)
    assert batch.answered_at == answered_at
    assert bench.stats.snapshot()["stages"]["wait"]["sum"] >= 0.05


def test_open_breaker_holds_batch_and_successors(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.feed(GOOD)
    bench.feed(POISON, POISON, POISON, GOOD, first=1)
    bench.feed(GOOD, first=5)
    held(bench)
    bench.turn_until(lambda: done(bench) == 1)
    assert len(bench.producer.sent) == 1
    assert bench.source.polls[-10:] == [True] * 10  # it stays in the group, and takes in no more
    assert bench.pipeline.monitor.oldest_s() == 0
    assert "the model fails 3 of the next 4 messages (inference_failed 3)" in bench.pipeline.breaker.alarm


def test_bad_messages_hold_nothing_back(make: Callable[..., Bench]) -> None:
    """However many there are, and whether decoding or the model's task refuses them."""
    bench = make()
    bench.classifier._answer = lambda request: (  # type: ignore[method-assign]
        RecordError(Fault.INVALID_LABELS, "no") if request.text == "poison" else predict(request)
    )
    bench.feed(*[BROKEN, POISON] * 50, GOOD, *[BROKEN, POISON] * 50)
    bench.run_dry()
    assert [result["source"]["offset"] for result in bench.producer.results()] == [100]
    assert len(bench.producer.letters()) == 200
    bench.turn_until(lambda: done(bench) == 201)


def test_bad_messages_do_not_hide_a_broken_model(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.feed(*[BROKEN] * 96, *[POISON] * 4)
    held(bench)
    assert "the model fails 4 of the next 4 messages" in bench.pipeline.breaker.alarm


def test_what_is_skipped_counts_neither_way(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.feed(None, None, None, None, POISON, POISON, GOOD)
    bench.run_dry()
    bench.feed(*[None] * 10, POISON, POISON, GOOD, first=7)
    held(bench)
    assert done(bench) == 7


def test_an_operator_lets_it_pass_and_at_least_one_sample_more(make: Callable[..., Bench]) -> None:
    clock = Clock()
    bench = make(clock)
    bench.feed(*[POISON] * 4)
    held(bench)
    clock.now += 5
    assert bench.pipeline.breaker.resume() == 4
    assert bench.pipeline.breaker.resume() is None
    bench.feed(*[POISON] * 4, first=4)
    bench.run_dry()
    assert len(bench.producer.letters()) == 8
    assert bench.pipeline.breaker.closed_at == clock.now
    bench.feed(*[POISON] * 4, first=8)
    held(bench)
    assert len(bench.producer.letters()) == 8
    assert done(bench) == 8


def test_a_repaired_model_ends_the_pause_with_its_fresh_answers(make: Callable[..., Bench]) -> None:
    bench = make(breaker={"probe_s": 0.05})
    bench.feed(POISON, POISON, GOOD, POISON, BROKEN)
    held(bench)
    bench.turn_until(lambda: bench.classifier.calls[1:3] == [3, 3])  # only what was refused is asked again
    assert bench.producer.sent == []
    bench.classifier._answer.repaired = True  # type: ignore[attr-defined]
    bench.feed(GOOD, first=5)
    bench.run_dry()
    assert [result["source"]["offset"] for result in bench.producer.results()] == [0, 1, 2, 3, 5]
    assert [letter["labelstream.reason"] for letter in bench.producer.letters()] == ["invalid_json"]
    bench.turn_until(lambda: done(bench) == 6)


def test_a_model_that_is_away_is_no_repaired_one(make: Callable[..., Bench]) -> None:
    bench = make(breaker={"probe_s": 0.02})
    bench.feed(POISON, POISON, POISON, POISON)
    held(bench)
    bench.classifier.fail_next = 3
    bench.turn_until(lambda: len(bench.classifier.calls) > 6)
    assert bench.producer.sent == []
    assert bench.pipeline.breaker.resume() == 4
    bench.run_dry()
    assert len(bench.producer.letters()) == 4


def test_a_stop_does_not_wait_for_what_is_held(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.feed(GOOD)
    bench.feed(*[POISON] * 4, first=1)
    held(bench)
    bench.turn_until(bench.pipeline.finished, accept=False)
    bench.turn_until(bench.pipeline.flush, accept=False)
    assert not bench.pipeline.drained()
    assert done(bench) == 1


def test_revoked_partition_does_not_wait_for_held_batch(make: Callable[..., Bench]) -> None:
    bench = make(rebalance_drain_s=100)
    bench.feed(GOOD)
    bench.feed(*[POISON] * 4, first=1)
    held(bench)
    bench.source.assignment.on_partitions_revoked({A})
    polls = len(bench.source.polls)
    bench.turn_until(lambda: len(bench.source.polls) > polls)
    assert done(bench) == 1
    bench.turn_until(bench.pipeline.drained)  # the next owner's breaker has the word
    assert not bench.pipeline.breaker.is_open
    assert len(bench.producer.sent) == 1


def test_what_was_lost_is_given_up_and_the_rest_goes_on(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.classifier.gate.clear()
    bench.feed(GOOD)
    bench.turn_until(lambda: not bench.source.waiting)
    bench.source.assignment.on_partitions_lost({A})
    bench.source.assignment.on_partitions_assigned([A])
    bench.feed(GOOD)
    bench.classifier.gate.set()
    bench.run_dry()
    assert len(bench.producer.results()) == 1
    bench.turn_until(lambda: done(bench) == 1)


def test_each_text_of_a_list_counts_and_is_asked_again_alone(make: Callable[..., Bench]) -> None:
    bench = make(breaker={"probe_s": 0.05}, fields={"text": "l[*]"})
    bench.feed(b'{"l":["poison","good"," ","poison"]}', b'{"l":["poison"]}')
    held(bench)
    assert "the model fails 3 of the next 4 messages (inference_failed 3)" in bench.pipeline.breaker.alarm
    bench.turn_until(lambda: bench.classifier.calls[1:3] == [3, 3])
    bench.classifier._answer.repaired = True  # type: ignore[attr-defined]
    bench.run_dry()
    first, second = bench.producer.results()
    assert [answer.get("label") for answer in first["answers"]] == ["POSITIVE", "POSITIVE", None, "POSITIVE"]
    assert len(second["answers"]) == 1
    bench.turn_until(lambda: done(bench) == 2)


def test_one_failing_text_of_many_holds_nothing_back(make: Callable[..., Bench]) -> None:
    bench = make(fields={"text": "l[*]"})
    bench.feed(b'{"l":["poison","good","good","good"]}', b'{"l":["poison","good","good"]}')
    bench.run_dry()
    assert len(bench.producer.results()) == 2
