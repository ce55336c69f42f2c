"""What is held against records that the model did not get through."""

import time

import pytest

from labelstream.deploy.model_client.failed_attempts import FORGIVEN_S, MAX_ALONE, FailedAttempts, Suspicion
from labelstream.workers.classifier import Fault
from tests.support.clock import Clock
from tests.support.crashing_replica import innocent
from tests.support.slow_model import (
    TIMEOUT_S,
    check,
    connected,
    holds_poison,
    insist,
)
from tests.support.slow_replica import SlowHandle


def test_timeout_is_forgiven_after_a_while_and_crash_is_not() -> None:
    clock = Clock()
    attempts = FailedAttempts(clock=clock)
    for content, how in ((b"late", Fault.TIMED_OUT), (b"deadly", Fault.CRASHES_MODEL)):
        for _ in range(MAX_ALONE):
            attempts.failed([content], how, running=True)
    clock.now += FORGIVEN_S - 1
    assert attempts.of(b"late").refusal() is not None
    clock.now += 2
    assert attempts.of(b"late") == Suspicion()
    assert attempts.of(b"deadly").refusal() is not None


def test_what_is_remembered_is_bounded() -> None:
    attempts = FailedAttempts(max_contents=3, clock=lambda: 0.0)
    attempts.failed([b"1", b"2", b"3"], Fault.TIMED_OUT, running=False)
    attempts.failed([b"1"], Fault.TIMED_OUT, running=True)
    attempts.failed([b"4"], Fault.TIMED_OUT, running=False)
    assert [attempts.of(b"%d" % i) for i in (1, 2, 3, 4)] == [
        Suspicion(2, True, (Fault.TIMED_OUT,)),
        Suspicion(),
        Suspicion(1),
        Suspicion(1),
    ]


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("times", [1.5, 5.0])
def test_a_record_that_takes_too_long_is_refused_alone(times: float) -> None:
    texts = [innocent(i) for i in range(40)]
    texts[7] = "d"
    handle = SlowHandle(lambda packed: times * TIMEOUT_S if holds_poison(packed) else 0.001)
    with connected(handle) as classifier:
        answers, failed = insist(classifier, texts)
        check(texts, answers, Fault.TIMED_OUT)
        started = time.monotonic()
        check(["a", "d"], insist(classifier, ["a", "d"])[0], Fault.TIMED_OUT)  # known by now
        assert time.monotonic() - started < TIMEOUT_S
    assert failed >= MAX_ALONE
