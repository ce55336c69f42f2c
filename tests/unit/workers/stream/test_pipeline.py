"""The way of the data, with a source and a producer that the test holds in its hands."""

import gc
import json
import threading
import time
from collections.abc import Callable
from typing import Any
from weakref import ref

import pytest
from kafka.errors import KafkaTimeoutError

from labelstream.workers.errors import StreamError
from labelstream.workers.stream.batch import RETRY_FIRST_S
from labelstream.workers.stream.broker.topics import TopicLimits
from labelstream.workers.stream.pipeline import POLL_MS
from labelstream.workers.stream.record_batch.limits import MAX_KEY_BYTES, RECORD_BYTES
from labelstream.workers.stream.record_batch.unread import HeadersLeftOut
from tests.support.fakes import FakeClassifier
from tests.support.pipeline_bench import A, Bench, message, record


def test_results_carry_what_came_in(benches: Callable[..., Bench]) -> None:
    bench = benches()
    value = message("ab", id="x", metadata={"a": [1]})
    bench.source.waiting.append([record(7, value, b"key", [("h", b"v"), ("n", None)])])
    bench.run_dry()
    topic, _, key, headers, partition = bench.producer.sent[0]
    assert (topic, key, headers, partition) == ("out", b"key", [("h", b"v"), ("n", b"")], None)
    (result,) = bench.producer.results()
    assert result["event_id"] == "p/in/0/7"
    assert (result["id"], result["metadata"], result["label"], result["score"]) == ("x", {"a": [1]}, "POSITIVE", 0.75)
    assert [entry["label"] for entry in result["scores"]] == ["POSITIVE", "NEGATIVE"]
    assert result["source"]["offset"] == 7
    assert bench.source.commits[-1] == {A: 8}


def test_bad_neighbours_do_no_harm(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.feed(message("ab"), b"{", message("poison"), None, message("abc"), message(" "))
    bench.run_dry()
    assert [r["source"]["offset"] for r in bench.producer.results()] == [0, 4]
    letters = bench.producer.letters()
    assert [letter["labelstream.reason"] for letter in letters] == ["invalid_json", "inference_failed", "empty_text"]
    assert [letter["__connect.errors.offset"] for letter in letters] == ["1", "2", "5"]
    assert letters[1]["labelstream.attempts"] == "2"
    assert letters[1]["labelstream.model"] == "m"
    assert letters[0]["value"] == "{"
    assert bench.source.commits[-1] == {A: 6}
    assert bench.stats.snapshot()["skipped"] == 1


def test_what_came_as_metadata_goes_out_digit_for_digit(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.feed(b'\xef\xbb\xbf{"text":"ab","id":12345678901234567890,"x":NaN,"metadata":{"n":[1.0,1E5, 1.10]}}')
    bench.run_dry()
    ((_, value, *_),) = bench.producer.sent
    assert b'"id":12345678901234567890,' in value
    assert b'"metadata":{"n":[1.0,1E5, 1.10]},' in value


@pytest.mark.parametrize(("skip", "letters"), [("skip", []), ("dead_letter", ["empty_text"])])
def test_a_text_that_is_null_is_an_empty_one(benches: Callable[..., Bench], skip: str, letters: list[str]) -> None:
    bench = benches(on_empty_text=skip, text_field="payload.after.review")
    bench.feed(b'{"payload":{"before":{"review":"x"},"after":null,"op":"d"}}')
    bench.run_dry()
    assert [letter["labelstream.reason"] for letter in bench.producer.letters()] == letters
    assert bench.source.commits[-1] == {A: 1}


def test_skipping_is_a_setting(benches: Callable[..., Bench]) -> None:
    bench = benches(on_empty_text="skip", on_tombstone="dead_letter")
    bench.feed(message(" "), None)
    bench.run_dry()
    assert [letter["labelstream.reason"] for letter in bench.producer.letters()] == ["tombstone"]
    assert bench.source.commits[-1] == {A: 2}


def test_nothing_is_committed_before_its_acknowledgement(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.producer.hold = True
    bench.feed(message("a"), message("b"))
    bench.turn_until(lambda: len(bench.producer.acks) == 2)
    bench.producer.acks[1].success(None)
    for _ in range(30):
        bench.pipeline.run_once(True)
    assert all(offset == 0 for commit in bench.source.commits for offset in commit.values())
    bench.producer.acks[0].success(None)
    bench.run_dry()
    assert bench.source.commits[-1] == {A: 2}


def test_a_lost_acknowledgement_stops_the_stream(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.producer.hold = True
    bench.feed(message("a"))
    bench.turn_until(lambda: len(bench.producer.acks) == 1)
    bench.producer.acks[0].failure(KafkaTimeoutError())
    with pytest.raises(StreamError, match="not acknowledged"):
        bench.turn_until(lambda: False)
    assert all(offset == 0 for commit in bench.source.commits for offset in commit.values())


def test_order_survives_answers_out_of_order(benches: Callable[..., Bench]) -> None:
    slow, fast = FakeClassifier(), FakeClassifier()
    slow.gate.clear()
    bench = benches(classifiers={"m": slow, "other": fast}, models=["other"])
    bench.feed(message("a"), message("b", model="other"))
    bench.feed(message("c", model="other"), first=2)
    bench.turn_until(lambda: not bench.source.waiting)
    for _ in range(10):
        bench.pipeline.run_once(True)
    assert bench.producer.sent == []
    slow.gate.set()
    bench.run_dry()
    assert [r["source"]["offset"] for r in bench.producer.results()] == [0, 1, 2]
    assert [r["model"] for r in bench.producer.results()] == ["m", "other", "other"]
    slow.close()
    fast.close()


def test_pressure_pauses_but_polling_goes_on(benches: Callable[..., Bench]) -> None:
    bench = benches(max_in_flight=2)
    bench.classifier.gate.clear()
    for i in range(5):
        bench.feed(message("a"), first=i)
    for _ in range(6):
        bench.pipeline.run_once(True)
    assert len(bench.source.waiting) == 3
    assert bench.source.polls[2:] == [True] * (len(bench.source.polls) - 2)
    assert bench.pipeline.in_flight() == {0: 2}
    bench.classifier.gate.set()
    bench.run_dry()
    assert len(bench.producer.results()) == 5


def test_a_model_in_trouble_is_given_nothing_more(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.classifier.paused = "paused: replicas die"
    bench.feed(message("a"))
    started = time.monotonic()
    for _ in range(3):
        bench.pipeline.run_once(True)
    assert bench.source.polls == [True] * 3
    assert bench.source.timeouts_ms == [POLL_MS] * 3  # the thread does not spin meanwhile
    assert time.monotonic() - started < 10
    assert bench.pipeline.paused()
    assert bench.pipeline.resume() == 0
    assert bench.pipeline.resume() is None
    bench.run_dry()
    assert len(bench.producer.results()) == 1


def test_what_is_under_way_at_a_model_in_trouble_is_not_overdue(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.classifier.gate.clear()
    bench.feed(message("a"))
    bench.turn_until(lambda: not bench.source.waiting)
    time.sleep(0.05)
    assert bench.pipeline.oldest_s() >= 0.05
    bench.classifier.paused = "paused: replicas die"
    assert bench.pipeline.oldest_s() == 0
    assert bench.pipeline.awaited() == {}


def test_a_call_whose_parts_are_answered_is_not_silent(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.classifier.gate.clear()
    bench.feed(message("a"))
    bench.turn_until(lambda: not bench.source.waiting)
    time.sleep(0.1)
    (batch,) = bench.pipeline._in_flight
    batch.calls[0]._progress.at = time.monotonic()
    assert bench.pipeline.oldest_s() < 0.1
    assert bench.pipeline.awaited()["model m"] < 0.1


def test_the_next_attempt_knows_what_the_last_one_found(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.classifier.fail_next = 1
    bench.feed(message("a"))
    bench.run_dry()
    first, second = bench.classifier.progresses
    assert first is second is not None


def test_an_answer_and_its_acknowledgement_go_before_the_next_poll(
    benches: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labelstream.workers.stream.flow_control.poll_timer.PARTIAL_WAIT_S", 10)
    bench = benches()
    bench.classifier.gate.clear()
    bench.producer.hold = True
    bench.feed(message("a"))
    bench.pipeline.run_once(True)
    threading.Timer(0.1, bench.classifier.gate.set).start()
    bench.pipeline.run_once(True)  # woken by the answer
    assert (len(bench.producer.sent), len(bench.source.polls)) == (0, 1)
    threading.Timer(0.1, lambda: bench.producer.acks[0].success(None)).start()
    bench.pipeline.run_once(True)  # sends, and is woken by the acknowledgement
    assert (len(bench.producer.sent), len(bench.source.polls)) == (1, 1)
    bench.pipeline.run_once(True)
    assert bench.pipeline.drained()
    assert bench.source.timeouts_ms == [POLL_MS, POLL_MS]


def test_what_is_answered_by_the_end_of_a_poll_goes_before_the_next_one(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.feed(message("a"))
    bench.pipeline.run_once(True)
    [batch] = bench.pipeline._in_flight
    batch.calls[0].future.result(10)
    bench.pipeline._poll(True)
    assert len(bench.source.polls) == 1


def test_the_next_poll_follows_at_once_on_a_full_one_and_soon_on_any_that_brings_something(
    benches: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labelstream.workers.stream.flow_control.poll_timer.BUSY_WAIT_S", 10)
    monkeypatch.setattr("labelstream.workers.stream.flow_control.poll_timer.PARTIAL_WAIT_S", 10)
    bench = benches(max_poll_records=2)
    bench.classifier.gate.clear()
    bench.feed(message("a"), message("b"))
    bench.feed(message("c"), first=2)
    for _ in range(2):
        bench.pipeline.run_once(True)
    assert bench.source.waiting == []
    monkeypatch.setattr("labelstream.workers.stream.flow_control.poll_timer.PARTIAL_WAIT_S", 0.01)
    other = benches()
    other.classifier.gate.clear()
    other.feed(message("a"))
    other.feed(message("b"), first=1)
    started = time.monotonic()
    for _ in range(2):
        other.pipeline.run_once(True)
    assert other.source.waiting == []
    assert time.monotonic() - started >= 0.01


@pytest.mark.parametrize(("setting", "expected"), [("auto", 3), (2, 2)])
def test_as_much_is_in_flight_as_keeps_the_replicas_busy(
    benches: Callable[..., Bench], setting: int | str, expected: int
) -> None:
    bench = benches(max_in_flight=setting)
    bench.classifier.gate.clear()
    bench.pipeline.set_target_in_flight(3)
    for i in range(10):
        bench.feed(message("a"), first=i)
    for _ in range(12):
        bench.pipeline.run_once(True)
    assert bench.pipeline.in_flight() == {0: expected}
    bench.pipeline.set_target_in_flight(1_000_000)
    for _ in range(12):
        bench.pipeline.run_once(True)
    assert bench.pipeline.in_flight() == {0: 10 if setting == "auto" else expected}
    bench.classifier.gate.set()
    bench.run_dry()
    assert len(bench.producer.results()) == 10


def test_what_waits_for_its_turn_keeps_no_replica_busy(benches: Callable[..., Bench]) -> None:
    slow, fast = FakeClassifier(), FakeClassifier()
    slow.gate.clear()
    bench = benches(classifiers={"m": slow, "other": fast}, models=["other"])
    bench.pipeline.set_target_in_flight(2)
    bench.feed(message("a"))
    for i in range(1, 100):
        bench.feed(message("b", model="other"), first=i)
    bench.turn_until(lambda: bench.pipeline.in_flight().total() == 64)  # of which one is not answered
    for _ in range(10):
        bench.pipeline.run_once(True)
    assert bench.pipeline.in_flight().total() == 64
    slow.gate.set()
    bench.run_dry()
    assert [result["source"]["offset"] for result in bench.producer.results()] == list(range(100))
    slow.close()
    fast.close()


def test_a_failed_call_is_asked_again_and_is_no_dead_letter(
    benches: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labelstream.workers.stream.batch.RETRY_FIRST_S", 0.01)
    bench = benches()
    bench.classifier.fail_next = 3
    bench.feed(message("a"), message("b"))
    bench.run_dry()
    assert len(bench.producer.results()) == 2
    assert bench.producer.letters() == []
    assert bench.stats.snapshot()["retries"] == 3


def test_results_of_a_partition_that_was_lost_are_dropped(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.classifier.gate.clear()
    bench.feed(message("a"))
    bench.turn_until(lambda: not bench.source.waiting)
    bench.source.assignment.on_partitions_lost({A})
    bench.classifier.gate.set()
    bench.turn_until(bench.pipeline.drained)
    assert bench.producer.sent == []
    assert bench.source.assignment.committable() == {}


def test_what_is_in_flight_of_a_partition_that_is_taken_away_is_finished_before_the_next_poll(
    benches: Callable[..., Bench],
) -> None:
    bench = benches()
    bench.classifier.gate.clear()
    bench.feed(message("a"))
    bench.turn_until(lambda: not bench.source.waiting)
    bench.source.assignment.on_partitions_revoked({A})
    polls = len(bench.source.polls)
    for _ in range(5):
        bench.pipeline.run_once(accept=True)
    assert len(bench.source.polls) == polls  # the next poll gives the partition up
    bench.classifier.gate.set()
    bench.turn_until(lambda: len(bench.source.polls) > polls)
    assert len(bench.producer.results()) == 1
    assert bench.source.commits == [{A: 0}, {A: 1}]


def test_a_partition_that_is_taken_away_is_let_go_when_the_time_is_up(benches: Callable[..., Bench]) -> None:
    bench = benches(rebalance_drain_s=0.2)
    bench.classifier.gate.clear()
    bench.feed(message("a"))
    bench.turn_until(lambda: not bench.source.waiting)
    bench.source.assignment.on_partitions_revoked({A})
    polls = len(bench.source.polls)
    bench.turn_until(lambda: len(bench.source.polls) > polls)
    bench.classifier.gate.set()
    bench.turn_until(bench.pipeline.drained)
    assert bench.producer.sent == []
    assert bench.source.commits in ([], [{A: 0}])


def test_a_shifted_answer_never_becomes_a_label(benches: Callable[..., Bench]) -> None:
    bench = benches()
    monkey = bench.classifier
    monkey._classify = lambda requests: []  # type: ignore[method-assign]
    bench.feed(message("a"))
    with pytest.raises(ValueError, match="zip"):
        bench.turn_until(lambda: False)
    assert bench.producer.sent == []


def test_a_result_too_large_is_a_dead_letter(benches: Callable[..., Bench]) -> None:
    bench = benches(limits=TopicLimits(output=1_000, dead_letter=10_000))
    bench.feed(message("a"), message("b", metadata={"m": "x" * 2_000}))
    bench.run_dry()
    assert [r["source"]["offset"] for r in bench.producer.results()] == [0]
    (letter,) = bench.producer.letters()
    assert letter["labelstream.reason"] == "result_too_large"
    assert json.loads(letter["value"])["text"] == "b"
    assert bench.source.commits[-1] == {A: 2}


def test_what_the_broker_refuses_is_sent_again_record_by_record_and_its_neighbours_with_it(
    benches: Callable[..., Bench],
) -> None:
    bench = benches()
    bench.producer.too_large = lambda topic, value: len(value) > 1_000
    bench.feed(message("a"), message("b", metadata={"m": "x" * 2_000}), message("c"))
    bench.run_dry()
    assert [r["source"]["offset"] for r in bench.producer.taken()] == [0, 2]
    assert bench.source.commits[-1] == {A: 3}
    assert bench.stats.snapshot()["dead_letters"] == {"result_too_large": 1}


def test_record_by_record_only_the_one_at_fault_is_a_dead_letter(benches: Callable[..., Bench]) -> None:
    bench = benches(careful=1)
    bench.producer.too_large = lambda topic, value: len(value) > 1_000
    bench.feed(message("a"), message("b", metadata={"m": "x" * 2_000}), message("c"))
    bench.run_dry()
    letters = bench.producer.letters()  # the whole one was too large as well
    assert [letter["labelstream.reason"] for letter in letters] == ["result_too_large"] * 2
    assert letters[1]["value"] == ""
    assert letters[1]["labelstream.value_omitted"].startswith("bytes=20")
    assert bench.source.commits[-1] == {A: 3}
    assert bench.stats.snapshot()["dead_letters"] == {"result_too_large": 1}
    assert bench.stats.snapshot()["results_out"] == 2


def test_a_dead_letter_that_does_not_fit_says_so(benches: Callable[..., Bench]) -> None:
    bench = benches(limits=TopicLimits(output=10_000, dead_letter=2_000))
    bench.feed(b"{" + b"x" * 5_000)
    bench.run_dry()
    (letter,) = bench.producer.letters()
    assert letter["labelstream.value_omitted"].startswith("bytes=5001;sha256=")
    assert letter["value"] == ""
    assert letter["labelstream.reason"] == "invalid_json"


def test_cloudevents_and_partitions(benches: Callable[..., Bench]) -> None:
    bench = benches(headers="cloudevents", output_partition="same")
    bench.source.waiting.append([record(3, message("a"), None, [("ce_id", b"theirs"), ("own", b"1")])])
    bench.run_dry()
    _, _, key, headers, partition = bench.producer.sent[0]
    assert (key, partition) == (None, 0)
    assert dict(headers)["ce_id"] == b"p/in/0/3"
    assert dict(headers)["own"] == b"1"
    assert len(headers) == len(dict(headers))


def test_no_answer_waits_for_a_poll(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.classifier.gate.clear()
    bench.pipeline.run_once(True)
    bench.feed(message("a"))
    bench.pipeline.run_once(True)
    bench.pipeline.run_once(True)
    assert bench.source.timeouts_ms == [POLL_MS, POLL_MS, 0]


def test_a_model_that_never_answers_keeps_the_loop_turning(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.classifier.fail_next = 1_000
    bench.feed(message("a"))
    bench.turn_until(lambda: bench.stats.snapshot()["retries"] == 1)
    started = time.monotonic()
    for _ in range(10):
        bench.pipeline.run_once(False)
    assert bench.stats.snapshot()["retries"] <= 2 + (time.monotonic() - started) / RETRY_FIRST_S
    assert bench.producer.sent == []
    assert not bench.pipeline.drained()


@pytest.mark.parametrize("size", [100_000, 2_000_000])
def test_what_is_in_flight_has_a_limit_in_bytes(benches: Callable[..., Bench], size: int) -> None:
    """One record larger than that passes alone."""
    bench = benches(max_bytes=1 << 20, max_in_flight=64, max_poll_records=3)
    bench.classifier.gate.clear()
    bench.producer.hold = True
    values = [message("x" * size, id=number) for number in range(21)]
    bench.feed(*values)
    fit = max(1, (1 << 20) // (len(values[-1]) + 1 + RECORD_BYTES))
    for _ in range(20):
        bench.pipeline.run_once(True)
    assert bench.pipeline.in_flight().total() == fit
    bench.classifier.gate.set()
    bench.turn_until(lambda: len(bench.producer.acks) == fit)
    for _ in range(5):
        bench.pipeline.run_once(True)
    assert len(bench.source.waiting[0]) == 21 - fit  # answered is not acknowledged
    bench.producer.hold = False
    for ack in bench.producer.acks:
        ack.success(None)
    bench.run_dry()
    letters = 21 if size > 1 << 20 else 0  # which is more than limits.max_message_bytes as well
    assert len(bench.producer.letters()) == letters
    assert [result["id"] for result in bench.producer.results()] == list(range(21 - letters))


def test_polls_follow_what_a_turn_can_do(benches: Callable[..., Bench]) -> None:
    """Where tokenizing takes 10 ms for 1 KB, the micro-batch of 1 MiB that comes first is the only one of its kind."""
    bench = benches(max_in_flight=1)
    sizes: list[int] = []

    class Slow(FakeClassifier):
        def submit(self, requests: Any, progress: Any = None) -> Any:
            sizes.append(len(requests))
            time.sleep(0.02 * len(requests))
            return super().submit(requests, progress)

    bench.pipeline._classifiers = {"m": Slow()}
    bench.feed(*(message("x" * 10_000) for _ in range(300)))
    bench.run_dry()
    bench.pipeline._classifiers["m"].close()
    assert sizes[0] > 80
    assert max(sizes[1:]) <= 50 + 1


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"key": b"k" * (MAX_KEY_BYTES + 1)}, "a key of 262145 bytes; 262144 are taken at most"),
        (
            {"headers": HeadersLeftOut(300_000, 600_000)},
            "300000 headers in 600000 bytes; 1000 in 262144 bytes are taken at most",
        ),
    ],
)
def test_a_key_or_headers_that_are_too_large_are_a_dead_letter_that_says_so(
    benches: Callable[..., Bench], more: dict[str, Any], problem: str
) -> None:
    bench = benches()
    bench.source.waiting.append([record(0, message("a"))._replace(**more), record(1, message("b"))])
    bench.source.waiting.append([record(2, None)._replace(**more)])  # skipped like any other without a value
    bench.run_dry()
    (letter,) = bench.producer.letters()
    assert (letter["labelstream.reason"], letter["__connect.errors.exception.message"]) == ("too_large", problem)
    assert letter["value"] == message("a").decode()
    assert letter.get("labelstream.headers_omitted") == ("count=300000;bytes=600000" if "headers" in more else None)
    assert [result["source"]["offset"] for result in bench.producer.results()] == [1]


def test_what_is_acknowledged_is_let_go_at_once(benches: Callable[..., Bench]) -> None:
    """And not when the garbage collector comes by, which counts objects and no bytes."""
    bench = benches()
    bench.classifier.gate.clear()
    bench.feed(message("a"), message("b"))
    bench.pipeline.run_once(True)
    [batch] = bench.pipeline._in_flight
    calls = [ref(call) for call in batch.calls]
    del batch
    gc.disable()
    try:
        bench.classifier.gate.set()
        bench.run_dry()
        assert [call() for call in calls] == [None]
    finally:
        gc.enable()
