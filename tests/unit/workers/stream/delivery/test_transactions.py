"""A transaction that cannot end is aborted, and sent again."""

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.errors import KafkaTimeoutError

from labelstream.workers.errors import StreamError
from labelstream.workers.stream.delivery.transactions import TransactionalProducer
from tests.support.pipeline_bench import message
from tests.support.transactions_bench import BEGINNING, Bench, PaperProducer


def test_unacknowledged_transaction_is_aborted_and_resent_smaller(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(commit_timeout_s=0.3)
    request.addfinalizer(bench.classifier.close)
    lost = bench.broker.producers[0]
    original: Callable[..., Any] = lost.send_batch
    original_of = PaperProducer.send_batch

    def never_acknowledged(topic: str, records: Any) -> Any:
        return [SimpleNamespace(is_done=False, add_both=lambda call: None) for _ in original(topic, records)]

    monkeypatch.setattr(lost, "send_batch", never_acknowledged)
    sent: list[int] = []
    monkeypatch.setattr(
        PaperProducer,
        "send_batch",
        lambda producer, topic, records: (sent.append(len(records)), original_of(producer, topic, records))[1],
    )
    bench.feed(*[message("a") for _ in range(40)])
    bench.turn_until(
        lambda: "did not acknowledge 40 messages" in bench.pipeline.monitor.obstacles().get("transaction", "")
    )
    bench.turn_until(lambda: sum(bench.texts()) == 40)
    assert lost.closed
    assert 1 <= sent[0] < 40 // 2
    assert sum(sent) == 40
    assert sum(bench.classifier.calls) == 40  # classified once


def test_lost_markers_of_a_committed_transaction_are_those_of_a_commit(request: pytest.FixtureRequest) -> None:
    bench = Bench()
    request.addfinalizer(bench.classifier.close)
    bench.broker.calls.clear()
    bench.last.at_coordinator = True
    bench.broker.fail_commit = [KafkaTimeoutError()]  # of the markers: the next attempt must not abort
    with pytest.raises(StreamError, match="transactions cannot be initialized"):
        TransactionalProducer(bench.broker.connect, "g", bench.settings, bench.last)
    TransactionalProducer(bench.broker.connect, "g", bench.settings, bench.last)
    assert bench.broker.calls == ["init", "begin", "clear", "commit"] * 2
    assert bench.broker.committed == [([], {})]
    TransactionalProducer(bench.broker.connect, "g", bench.settings, bench.last)
    assert bench.broker.calls[-4:] == BEGINNING


def test_commit_whose_connection_ended_is_followed_by_its_markers(request: pytest.FixtureRequest) -> None:
    bench = Bench()
    request.addfinalizer(bench.classifier.close)
    bench.broker.on_commit = lambda producer: bench.broker.link.reconnect() if producer.values else None
    bench.feed(message("a"))
    bench.turn_until(bench.commits(1))
    bench.turn_until(bench.producer.ready)
    assert bench.broker.producers[0].closed
    assert bench.broker.calls[-4:] == ["init", "begin", "clear", "commit"]
    bench.broker.on_commit = lambda producer: None
    bench.feed(message("b"), first=1)
    bench.turn_until(bench.commits(2))
    bench.turn_until(bench.producer.ready)
    assert bench.texts() == [1, 0, 1]
    assert len(bench.broker.producers) == 2


def test_next_transaction_waits_for_the_markers_of_the_last(request: pytest.FixtureRequest) -> None:
    bench = Bench()
    request.addfinalizer(bench.classifier.close)
    held = threading.Event()
    request.addfinalizer(held.set)
    answer = bench.broker.link.send
    bench.broker.link.states = ["PrepareCommit", "CompleteCommit"]
    bench.broker.link.send = lambda *sent, **more: (held.wait(10), answer(*sent, **more))[1]  # type: ignore[method-assign]
    bench.feed(message("a"))
    bench.turn_until(bench.commits(1))
    bench.feed(message("b"), first=1)
    bench.turn_for(0.1)
    assert not bench.producer.ready()
    assert bench.broker.calls.count("send") == 1
    held.set()
    bench.turn_until(bench.commits(2))
    assert bench.broker.link.asked >= 3
    assert len(bench.broker.producers) == 1
