"""The ring of sampled results."""

from typing import Any

from labelstream.workers.stream.delivery.recent_results import EVERY_S, KEPT, RecentResults
from tests.support.clock import Clock

SAMPLE: Any = {"place": "in:0:1"}


def test_sample_is_due_every_half_second() -> None:
    clock = Clock()
    recent = RecentResults(False, clock)
    assert recent.is_due()
    recent.add([])  # also without a label
    assert not recent.is_due()
    clock.now += EVERY_S
    assert recent.is_due()


def test_ring_keeps_the_newest() -> None:
    recent = RecentResults(True)
    for number in range(KEPT + 3):
        recent.add([SAMPLE | {"score": number}])
    assert [one["score"] for one in recent.latest] == list(range(3, KEPT + 3))


def test_reader_s_list_never_changes() -> None:
    recent = RecentResults(True)
    recent.add([SAMPLE])
    seen = recent.latest
    recent.add([SAMPLE])
    assert len(seen) == 1
