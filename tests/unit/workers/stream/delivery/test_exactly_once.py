"""Exactly-once: one test for each way in which kafka-python's transactions lose or repeat, with a producer of paper."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kafka.errors import (
    CommitFailedError,
    InvalidProducerEpochError,
    KafkaError,
    KafkaTimeoutError,
    ProducerFencedError,
)
from kafka.structs import (
    TopicPartition,
)

from labelstream.workers import failpoints
from labelstream.workers.errors import Fenced
from tests.support.pipeline_bench import A, Ack, message, record
from tests.support.transactions_bench import BEGINNING, MEMBER, Bench, PaperProducer


@pytest.fixture
def benches() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**more: Any) -> Bench:
        made.append(Bench(**more))
        return made[-1]

    yield make
    for bench in made:
        bench.classifier.gate.set()
        bench.classifier.close()


def test_results_dead_letters_and_offsets_share_a_transaction(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.feed(message("a"), b"no json", message("b"))
    bench.turn_until(bench.commits(1))
    assert bench.texts() == [3]
    assert bench.offsets() == [{A: 3}]
    assert bench.broker.calls == [*BEGINNING, "begin", "send", "send", "send", "offsets", "commit"]
    assert bench.source.commits == []  # never by the consumer
    assert bench.stats.snapshot()["results_out"] == 2
    bench.feed(message("c"), first=3)
    bench.turn_until(bench.commits(2))
    assert bench.offsets()[1] == {A: 4}
    assert len(bench.broker.producers) == 1


def test_a_transaction_ends_by_count_too(benches: Callable[..., Bench]) -> None:
    bench = benches(transaction_interval_ms=60_000, transaction_max_messages=2)
    bench.feed(message("a"), message("b"))
    bench.turn_until(bench.commits(1))
    assert bench.offsets() == [{A: 2}]


def test_transaction_ends_by_bytes_and_uncommitted_is_in_flight(
    benches: Callable[..., Bench],
) -> None:
    """The limit is 1 MiB, and a message has 200 KB: the third is over the half of it."""
    bench = benches(
        transaction_interval_ms=60_000,
        max_poll_records=1,
        limits={"max_in_flight_bytes": 1 << 20, "max_batch_bytes": 1 << 20},
    )
    bench.feed(message("x" * 200_000), message("x" * 200_000))
    bench.turn_until(lambda: bench.broker.calls.count("send") == 2 and bench.pipeline.drained())
    assert bench.delivery.uncommitted_bytes() > 400_000
    bench.feed(message("x" * 900_000), first=2)  # finds no room behind the two
    bench.turn_for(0.05)
    assert len(bench.source.waiting) == 1
    bench.source.waiting.clear()
    bench.feed(message("x" * 200_000), message("x" * 800_000), first=2)
    bench.turn_until(bench.commits(1))
    assert bench.offsets() == [{A: 3}]
    assert bench.delivery.uncommitted_bytes() == 0
    bench.turn_until(bench.commits(2))
    assert bench.offsets()[1] == {A: 4}


def test_an_expired_batch_is_never_committed_around(benches: Callable[..., Bench]) -> None:
    """Hazard: the producer commits a transaction whose batch has expired, without it."""
    bench = benches()
    bench.broker.fail_ack = KafkaTimeoutError("expired")
    bench.feed(message("a"), message("b"))
    bench.turn_until(lambda: bool(bench.pipeline.monitor.obstacles()))
    assert "expired" in bench.pipeline.monitor.obstacles()["transaction"]
    bench.turn_until(bench.commits(1))
    assert bench.broker.calls == [
        *BEGINNING,
        "begin",
        "send",
        "send",
        *BEGINNING,
        "begin",
        "send",
        "send",
        "offsets",
        "commit",
    ]
    assert bench.offsets() == [{A: 2}]
    assert bench.pipeline.monitor.obstacles() == {}


def test_nothing_is_committed_before_every_acknowledgement(benches: Callable[..., Bench]) -> None:
    bench = benches()
    held: list[Ack] = []
    original = PaperProducer.send

    def send(producer: PaperProducer, *args: Any) -> Ack:
        original(producer, *args)
        held.append(Ack())
        return held[-1]

    bench.broker.producers[0].send = lambda *args: send(bench.broker.producers[0], *args)  # type: ignore[method-assign]
    bench.feed(message("a"), message("b"))
    bench.turn_until(lambda: len(held) == 2)
    held[1].success(None)
    bench.turn_for(0.1)
    assert "offsets" not in bench.broker.calls
    held[0].success(None)
    bench.turn_until(bench.commits(1))


def test_a_commit_across_an_epoch_bump_does_not_count(benches: Callable[..., Bench]) -> None:
    """Hazard: commit_transaction reports success although a bump in between has aborted the transaction."""
    bench = benches()

    def bump(producer: PaperProducer) -> None:
        producer._transaction_manager.producer_id_and_epoch.epoch += 1

    bench.broker.on_commit = bump
    bench.feed(message("a"))
    bench.turn_until(lambda: len(bench.broker.producers) == 2)
    assert bench.stats.snapshot()["results_out"] == 0


def test_a_note_is_not_taken_back_while_its_offset_may_be_passed(benches: Callable[..., Bench]) -> None:
    """To commit the old offset again, behind the transaction's, would repeat what is committed."""
    bench = benches()
    progress = bench.source.assignment.get(A)
    assert progress is not None
    held: list[tuple[str, str]] = []

    def commit(producer: PaperProducer) -> None:
        held.append((progress.note, progress.prior))
        if len(held) == 1:
            raise CommitFailedError

    abort = bench.delivery._abort
    monitored: list[tuple[str, str]] = []

    def aborted() -> Any:
        aborted = abort()
        monitored.append((progress.note, progress.prior))
        return aborted

    bench.delivery._abort = aborted  # type: ignore[method-assign]
    bench.broker.on_commit = commit
    progress.note, progress.prior = "of this worker", "of an earlier one"
    bench.feed(message("a"))
    bench.turn_until(bench.commits(1))
    assert held == [("", ""), ("", "")]
    assert monitored == [("of this worker", "of an earlier one")]  # an end in order takes it back then


def test_of_lost_partitions_nothing_is_waited_for(benches: Callable[..., Bench]) -> None:
    """Not even where they fill the head of a micro-batch that is sent in parts."""
    bench = benches()
    lost = TopicPartition("in", 7)
    assignment = bench.source.assignment
    assignment.on_partitions_assigned([lost])
    polled = [[(assignment.get(partition), [record(0, value)]) for partition, value in ((lost, b"{"), (A, b"{"))]]
    poll = bench.source.poll
    bench.source.poll = lambda *args: polled.pop() if polled else poll(*args)  # type: ignore[method-assign]
    bench.turn_until(lambda: bool(bench.pipeline._in_flight))
    assignment.on_partitions_lost({lost})
    bench.turn_until(bench.commits(1))
    assert bench.offsets() == [{A: 1}]
    assert bench.stats.snapshot()["transactions_aborted"] == 0


@pytest.mark.parametrize("took_effect", [True, False])
def test_group_offsets_tell_outcome_of_commit_timeout(benches: Callable[..., Bench], took_effect: bool) -> None:
    """Hazard: commit_transaction waits without a limit, and its outcome is unknown then."""
    bench = benches(commit_timeout_s=0.2)
    stuck, asked = threading.Event(), []

    def commit(producer: PaperProducer) -> None:
        if asked:
            return
        asked.append(producer)
        if took_effect:
            bench.source.group = {A: 1}
        stuck.wait(5)
        raise KafkaError("closed")

    bench.broker.on_commit = commit
    bench.feed(message("a"))
    try:
        bench.turn_until(bench.commits(1))
    finally:
        stuck.set()
    assert bench.offsets() == ([] if took_effect else [{A: 1}])
    assert bench.stats.snapshot()["results_out"] == 1
    assert [producer.closed for producer in bench.broker.producers] == [True, False]


def test_unknown_commit_outcome_stops_progress(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.source.group, bench.broker.fail_commit = None, [KafkaError("who knows")]
    bench.feed(message("a"))
    bench.feed(message("b"), first=1)
    bench.turn_until(lambda: len(bench.broker.producers) == 2)
    bench.turn_for(0.2)
    assert bench.broker.calls[-len(BEGINNING) :] == BEGINNING
    assert "who knows" in bench.pipeline.monitor.obstacles()["transaction"]
    bench.source.group = {}
    bench.turn_until(bench.commits(1))
    assert sum(bench.texts()) <= 2


def test_nothing_is_committed_outside_of_the_group(benches: Callable[..., Bench]) -> None:
    """Hazard: with generation -1 the broker takes offsets unchecked."""
    bench = benches()
    bench.source.member = None
    bench.feed(message("a"))
    bench.turn_for(0.2)
    assert "offsets" not in bench.broker.calls
    bench.source.member = MEMBER
    bench.turn_until(bench.commits(1))


def test_the_membership_is_read_before_what_is_held(benches: Callable[..., Bench]) -> None:
    """Hazard: the client shows a new generation before the assignment that came with it.

    Read the other way round, a partition that is gone would be committed under the new generation.
    """
    bench = benches()

    def take_away() -> None:
        bench.source.assignment.on_partitions_lost({A})

    bench.source.when_asked = take_away
    bench.feed(message("a"))
    bench.turn_until(lambda: len(bench.broker.producers) == 2)
    bench.turn_for(0.1)
    assert bench.broker.committed == []
    assert "offsets" not in bench.broker.calls


def test_after_an_abort_a_new_producer_sends_again_what_stays(benches: Callable[..., Bench]) -> None:
    """Hazard: aborted offsets leak into the next transaction, and late writes of an aborted one may join it."""
    bench = benches()
    bench.broker.fail_offsets = [CommitFailedError("another generation")]
    bench.feed(message("a"), message("b"))
    bench.turn_until(bench.commits(1))
    again = [*BEGINNING, "begin", "send", "send", "offsets"]
    assert bench.broker.calls == [*again, *again, "commit"]
    assert [producer.closed for producer in bench.broker.producers] == [True, False]
    assert bench.texts() == [2]
    assert bench.stats.snapshot()["results_out"] == 2
    assert sum(bench.classifier.calls) == 2  # classified once


def test_lost_partitions_are_not_sent_again(benches: Callable[..., Bench]) -> None:
    bench = benches(transaction_interval_ms=60_000)
    bench.feed(message("a"))
    bench.turn_until(lambda: "send" in bench.broker.calls)
    bench.source.assignment.on_partitions_lost({A})
    bench.turn_until(lambda: len(bench.broker.producers) == 2)
    bench.turn_for(0.1)
    assert bench.broker.calls == [*BEGINNING, "begin", "send", *BEGINNING]
    assert bench.broker.committed == []


def test_revoked_partition_commits_before_next_poll(benches: Callable[..., Bench]) -> None:
    bench = benches(transaction_interval_ms=60_000)
    bench.feed(message("a"))
    bench.turn_until(lambda: "send" in bench.broker.calls)
    bench.source.assignment.on_partitions_revoked({A})
    polls = len(bench.source.polls)
    bench.turn_until(lambda: len(bench.source.polls) > polls)
    assert bench.offsets() == [{A: 1}]
    assert len(bench.broker.producers) == 1


@pytest.mark.parametrize("error", [ProducerFencedError(), InvalidProducerEpochError()])
def test_a_fenced_worker_ends(benches: Callable[..., Bench], error: KafkaError) -> None:
    bench = benches()
    bench.broker.fail_commit = [error]
    bench.feed(message("a"))
    with pytest.raises(Fenced):
        bench.turn_for(1)
    assert not Fenced.retriable


def test_a_fenced_send_is_no_ordinary_failure(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.broker.fail_ack = InvalidProducerEpochError()
    bench.feed(message("a"))
    with pytest.raises(Fenced):
        bench.turn_for(1)


def test_oversized_result_is_dead_lettered_in_same_transaction(
    benches: Callable[..., Bench],
) -> None:
    bench = benches()
    bench.broker.too_large = lambda value: value.startswith(b'{"schema') and b'"id":"big"' in value
    bench.feed(message("a"), message("b", id="big"), message("c"))
    bench.turn_until(bench.commits(1))
    ((values, offsets),) = bench.broker.committed
    assert offsets == {A: 3}
    assert sorted(value.startswith(b'{"schema') for value in values) == [False, True, True]
    snapshot = bench.stats.snapshot()
    assert (snapshot["results_out"], snapshot["dead_letters"]) == (2, {"result_too_large": 1})


def test_stopping_aborts_what_is_open(benches: Callable[..., Bench]) -> None:
    bench = benches(transaction_interval_ms=60_000)
    bench.feed(message("a"))
    bench.turn_until(lambda: "send" in bench.broker.calls)
    bench.producer.close(1)
    assert bench.broker.calls[-1] == "abort"
    assert bench.broker.committed == []


def test_a_commit_passes_its_failpoints_in_order(benches: Callable[..., Bench]) -> None:
    bench, points = benches(), []
    failpoints.install(points.append)
    try:
        bench.feed(message("a"))
        bench.turn_until(bench.commits(1))
    finally:
        failpoints.install(None)
    assert tuple(points) == failpoints.POINTS
