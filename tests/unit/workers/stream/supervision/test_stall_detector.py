"""What makes no progress, on a clock that the test turns."""

import math

import pytest

from labelstream.workers.settings.application import Settings
from labelstream.workers.stream.supervision import stall_detector
from labelstream.workers.stream.supervision.stall_detector import StallDetector, loop_stalls, peer_stalls
from tests.support.clock import Clock


def stalled(detector: StallDetector, **done: int) -> list[str]:
    return [name for name, idle_s in detector.idle_s(done).items() if detector.warns(idle_s)]


def test_only_who_has_something_to_do_stalls() -> None:
    clock = Clock()
    detector = StallDetector(300, clock=clock)
    assert stalled(detector, stuck=5) == []
    clock.now += 299
    assert stalled(detector, stuck=5) == []
    clock.now += 1
    assert stalled(detector, stuck=5) == ["stuck"]
    assert stalled(detector, stuck=6) == []
    clock.now += 300
    assert stalled(detector, idle=5) == []  # it was idle until now
    assert stalled(detector, stuck=6) == []  # and this one was away


def test_what_moves_does_not_stall() -> None:
    clock = Clock()
    detector = StallDetector(10, clock=clock)
    for done in range(100):
        clock.now += 9
        assert stalled(detector, moving=done) == []


def test_warning_comes_before_failure() -> None:
    detector = StallDetector(warn_s=10, fail_s=60)
    assert [(detector.warns(idle_s), detector.fails(idle_s)) for idle_s in (9.9, 10, 59.9, 60)] == [
        (False, False),
        (True, False),
        (True, False),
        (True, True),
    ]
    assert not StallDetector(10).fails(math.nextafter(math.inf, 0))


def test_thresholds_of_loop() -> None:
    assert (loop_stalls().warn_s, loop_stalls().fail_s) == (10, 60)


@pytest.mark.parametrize(("call_timeout_s", "fail_s"), [(10, 300), (400, 1_000)])
def test_failure_of_peer_waits_for_failure_of_its_calls(
    call_timeout_s: float, fail_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stall_detector, "SILENT_S", 7.0)
    pipeline = {"input": "in", "output": "out", "dead_letter": "dlq", "model": "m", "stall_timeout_s": 300}
    settings = Settings.model_validate(
        {
            "kafka": {"bootstrap_servers": "x:1"},
            "models": {"m": {"source": "/m", "call_timeout_s": call_timeout_s}},
            "pipelines": {"p": pipeline},
        }
    )
    peers = peer_stalls(settings, "p")
    assert (peers.warn_s, peers.fail_s) == (7, fail_s)
