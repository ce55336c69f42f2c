"""Calls that got no answer."""

from collections.abc import Callable

import pytest

from labelstream.workers.classifier import Request
from labelstream.workers.errors import InferenceError
from labelstream.workers.stream.call_retries import CallRetries
from labelstream.workers.stream.model_call import ModelCall
from labelstream.workers.stream.stats import Stats
from tests.support.clock import Clock
from tests.support.fakes import HeldClassifier
from tests.support.pipeline_bench import Bench, message


class TestCallRetries:
    """Of one call, on a clock that the test turns."""

    def setup_method(self) -> None:
        self.clock, self.stats, self.model = Clock(), Stats(), HeldClassifier()
        self.wakes = 0
        self.retries = CallRetries(self.stats, self.clock)
        self.call = ModelCall("m", [0], [Request("a")], self.model, self.clock, self.wake)

    def wake(self) -> None:
        self.wakes += 1

    def test_call_under_way_is_not_answered(self) -> None:
        assert not self.retries.answered(self.call)
        self.model.answer()
        assert self.retries.answered(self.call)
        assert self.stats.snapshot()["retries"] == 0

    def test_failed_call_is_made_again_when_it_is_time(self) -> None:
        started = self.clock.now
        for attempt, pause_s in enumerate([0.5, 1, 2, 4, 8, 15, 15], start=1):
            self.model.futures[-1].set_exception(InferenceError("no replica"))
            assert not self.retries.answered(self.call)
            assert self.retries.failed_at == self.clock.now
            self.clock.now += pause_s - 0.01
            assert not self.retries.answered(self.call)
            assert len(self.model.futures) == attempt
            self.clock.now += 0.01
            assert not self.retries.answered(self.call)
            assert len(self.model.futures) == attempt + 1
        self.model.answer()
        assert self.retries.answered(self.call)
        assert self.stats.snapshot()["retries_by_model"] == {"m": 7}
        assert self.retries.failed_at == started + 0.5 + 1 + 2 + 4 + 8 + 15
        assert self.wakes == 8

    def test_bug_is_raised(self) -> None:
        self.model.futures[-1].set_exception(ZeroDivisionError())
        with pytest.raises(ZeroDivisionError):
            self.retries.answered(self.call)


def test_the_next_attempt_knows_what_the_last_one_found(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.classifier.fail_next = 1
    bench.feed(message("a"))
    bench.run_dry()
    first, second = bench.classifier.progresses
    assert first is second is not None


def test_a_failed_call_is_asked_again_and_is_no_dead_letter(
    benches: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labelstream.workers.stream.model_call.RETRY_FIRST_S", 0.01)
    bench = benches()
    bench.classifier.fail_next = 3
    bench.feed(message("a"), message("b"))
    bench.run_dry()
    assert len(bench.producer.results()) == 2
    assert bench.producer.letters() == []
    assert bench.stats.snapshot()["retries"] == 3
