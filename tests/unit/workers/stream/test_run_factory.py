"""What a run is made of, in which order it is made and closed; no broker is asked."""

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.errors import KafkaConnectionError, KafkaError

from labelstream.workers.errors import OffsetOutOfRange, StartError, StreamError
from labelstream.workers.stream import run_factory
from labelstream.workers.stream.broker.topics import TopicLimits
from labelstream.workers.stream.delivery.at_least_once import AtLeastOnce
from labelstream.workers.stream.delivery.exactly_once import ExactlyOnce
from labelstream.workers.stream.run_factory import RunFactory
from labelstream.workers.stream.stats import Stats
from tests.support.fakes import FakeClassifier
from tests.support.pipeline_bench import FakeSource
from tests.support.streams import DELIVERIES, Topics, settings_for


class Source(FakeSource):
    """Stands in for RecordSource. `journal`: what is done to it and to the producer."""

    def __init__(self, journal: list[Any], history: object, lives: object) -> None:
        super().__init__()
        self._journal, self.history, self.lives = journal, history, lives
        self.partition_hold.on_exit = lambda kind, error, traceback: journal.append(error)

    def close(self, timeout_ms: int) -> None:
        self._journal.append("source closed")


class Producer(SimpleNamespace):
    """Stands in for both producers."""

    def close(self, timeout_s: float) -> None:
        self.journal.append(f"producer closed in {timeout_s:g} s")


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    journal: list[Any] = []

    class Transactional(Producer):
        def __init__(self, make: Callable[[], object], group: str, settings: object, last: object) -> None:
            super().__init__(journal=journal, throttled_s=lambda: 0.0)
            make()

    def make_transactional(config: object, kafka: object, sizes: object, transactional_id: str) -> None:
        journal.append(f"producer of {transactional_id.rpartition('-')[0]}")

    def make_idempotent(make: object) -> Producer:
        journal.append("producer")
        return Producer(journal=journal, throttled_s=lambda: 0.0)

    def make_source(consumer: str, settings: object, stats: object, history: object, lives: object) -> Source:
        return Source(journal, history, lives)

    for name, stand_in in {
        "never_log_messages": lambda: None,
        "connected_config": lambda kafka: {"connected": True},
        "check_topics": lambda *_: TopicLimits(),
        "check_transactions": lambda config, kafka, key, transactional_id: journal.append(f"{key} is checked"),
        "TransactionalProducer": Transactional,
        "make_transactional_producer": make_transactional,
        "IdempotentProducer": make_idempotent,
        "cause_of": lambda kafka, error: "nobody listens",
        "make_consumer": lambda *_: journal.append("consumer"),
        "RecordSource": make_source,
    }.items():
        monkeypatch.setattr(run_factory, name, stand_in)
    return journal


@pytest.fixture
def make() -> Iterator[Callable[[str], RunFactory]]:
    classifier = FakeClassifier()

    def make(delivery: str = "at_least_once") -> RunFactory:
        settings = settings_for("x:1", Topics("in", "out", "dlq"), delivery=delivery, group_id="g")
        return RunFactory("p", settings, {"m": classifier}, Stats())

    yield make
    classifier.close()


def test_start_error_is_raised_at_once(
    journal: list[Any], make: Callable[..., RunFactory], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Any:
        raise StartError("pipelines.p.input: topic in does not exist")

    monkeypatch.setattr(run_factory, "check_topics", refuse)
    with pytest.raises(StartError, match="topic in does not exist"):
        make("exactly_once")
    assert journal == []


def test_producer_is_made_before_the_consumer_and_closed_after_it(
    journal: list[Any], make: Callable[..., RunFactory]
) -> None:
    """It ends the transaction of an earlier one, before the consumer asks for committed offsets."""
    runs = make("exactly_once")
    with runs.run() as run:
        assert isinstance(run.pipeline._delivery, ExactlyOnce)
        assert run.rules.evaluate is not None
    made = ["pipelines.p.delivery is checked", "producer of g", "consumer"]
    assert journal == [*made, None, "source closed", "producer closed in 5 s"]


def test_run_without_transactions_delivers_at_least_once(journal: list[Any], make: Callable[..., RunFactory]) -> None:
    with make().run() as run:
        assert isinstance(run.pipeline._delivery, AtLeastOnce)
    assert journal[:2] == ["producer", "consumer"]


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_source_hears_what_ended_the_run(journal: list[Any], make: Callable[..., RunFactory], delivery: str) -> None:
    error = OffsetOutOfRange("gone")
    with pytest.raises(OffsetOutOfRange), make(delivery).run():
        raise error
    assert journal[-3:] == [error, "source closed", "producer closed in 5 s"]


def test_next_run_knows_what_the_last_one_found(journal: list[Any], make: Callable[..., RunFactory]) -> None:
    runs = make()
    with runs.run() as first, runs.run() as second:
        assert first.source is not second.source
        assert first.source.history is second.source.history  # type: ignore[attr-defined]
        assert first.source.lives is second.source.lives  # type: ignore[attr-defined]
        assert first.pipeline.breaker._failures is second.pipeline.breaker._failures


def test_lost_connection_ends_a_run_that_may_be_repeated(
    journal: list[Any], make: Callable[..., RunFactory], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Any:
        raise KafkaConnectionError("refused")

    monkeypatch.setattr(run_factory, "make_consumer", refuse)
    with pytest.raises(StreamError, match="no connection to Kafka: nobody listens") as raised, make().run():
        pass
    assert raised.value.retriable
    assert journal == ["producer", "producer closed in 5 s"]


@pytest.mark.parametrize(("delivery", "looking"), [("at_least_once", 0), ("exactly_once", 1)])
def test_hanging_transactions_are_looked_for_with_transactions(
    journal: list[Any],
    make: Callable[..., RunFactory],
    monkeypatch: pytest.MonkeyPatch,
    delivery: str,
    looking: int,
) -> None:
    made: list[Any] = []

    class Hanging:
        def __init__(self, config: Any, kafka: Any, pipeline: Any, group: str, end_as: Callable[[str], None]) -> None:
            assert (config, group) == ({"connected": True}, "g")
            end_as("g-dead")

        def keep_ending(self, stopped: threading.Event) -> None:
            made.append(stopped)

    monkeypatch.setattr(run_factory, "HangingTransactions", Hanging)
    stopped = threading.Event()
    make(delivery).end_hanging_transactions(stopped)
    assert made == [stopped] * looking
    assert journal[-2:] == ["producer of g", "producer closed in 0 s"] * looking


def test_fenced_transaction_is_cleared_where_that_is_possible(
    journal: list[Any],
    make: Callable[..., RunFactory],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    runs = make("exactly_once")
    runs.clear_transaction()
    assert journal[-2:] == ["producer of g", "producer closed in 0 s"]

    def refuse(*_: object) -> Any:
        raise KafkaError("gone")

    monkeypatch.setattr(run_factory, "make_transactional_producer", refuse)
    runs.clear_transaction()
    assert "pipeline p: the last transaction may block its partitions" in caplog.text
