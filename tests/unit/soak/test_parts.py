"""How the soak counts and measures."""

import os

import pytest

from tests.soak.memory import Sample, rss_mib, slope
from tests.soak.tally import Tally


def test_what_is_lost_twice_or_unknown_is_counted() -> None:
    tally = Tally()
    for offset in (0, 1, 3, 3, 40_000, 9):
        tally.mark(2, offset)
    tally.add(b'{"source":{"topic":"in","partition":0,"offset":7,"timestamp_ms":1}}')
    assert tally.totals({0: 8, 1: 5, 2: 10}) == (7 + 5 + 6, 1, 1)
    assert (tally.answers, tally.different) == (7, 6)


def test_a_whole_run_has_nothing_to_tell() -> None:
    tally = Tally()
    for offset in range(1_003):
        tally.mark(0, offset)
    assert tally.totals({0: 1_003, 1: 0}) == (0, 0, 0)


def test_a_value_without_a_source_is_refused() -> None:
    with pytest.raises(ValueError, match="without a source"):
        Tally().add(b"{}")


def test_the_slope_is_that_behind_the_first_quarter() -> None:
    samples = [Sample(done, 500.0 if done < 250_000 else 100 + done / 1e6 * 30) for done in range(0, 1_000_000, 10_000)]
    assert slope(samples) == pytest.approx(30)
    with pytest.raises(ValueError, match="too few"):
        slope(samples[:1])
    with pytest.raises(ValueError, match="nothing was done"):
        slope([Sample(5, 1.0), Sample(5, 2.0)])


def test_the_memory_of_a_process() -> None:
    assert 10 < (rss_mib(os.getpid()) or 0) < 100_000
    assert rss_mib(1 << 30) is None
