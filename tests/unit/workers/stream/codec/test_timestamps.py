"""Which timestamp a result carries, and what counts in no latency."""

import time
from collections.abc import Callable

import pytest
from kafka.errors import InvalidRecordError, InvalidTimestampError

from labelstream.workers.stream.codec.timestamps import DAY_MS, NOTHING, YEAR_2000_MS, Window, error_window, is_valid
from tests.support.pipeline_bench import Bench, message, record

NOW = 1_800_000_000_000


@pytest.mark.parametrize(
    ("timestamp_ms", "sound"),
    [
        (-1, False),
        (0, False),
        (NOW // 1000, False),
        (YEAR_2000_MS - 1, False),
        (YEAR_2000_MS, True),
        (NOW, True),
        (NOW + DAY_MS, True),
        (NOW + DAY_MS + 1, False),
    ],
)
def test_what_is_a_time(timestamp_ms: int, sound: bool) -> None:
    assert is_valid(timestamp_ms, NOW) == sound
    assert Window().takes(timestamp_ms, NOW) == sound


def test_what_a_refusal_tells_is_what_the_next_record_goes_by() -> None:
    told = error_window(InvalidTimestampError(f"Timestamp 5 .. should be within [{NOW - 70}, {NOW + 30}]"), NOW)
    assert told is not None
    assert told == Window(70, 30)
    assert [told.takes(NOW + shift, NOW) for shift in (-71, -70, 0, 30, 31)] == [False, True, True, True, False]
    assert error_window(InvalidTimestampError("no"), NOW) == NOTHING
    assert not NOTHING.takes(NOW, NOW)
    assert error_window(InvalidRecordError("no"), NOW) is None
    assert Window(5, 9).within(Window(7, 8)) == Window(5, 8)


def test_what_is_no_time_counts_in_no_latency(benches: Callable[..., Bench]) -> None:
    bench, now_ms = benches(), int(time.time() * 1000)
    ages = (now_ms, 1_000, -DAY_MS * 2)
    bench.source.waiting.append(
        [record(at, message("a"))._replace(timestamp=now_ms - age) for at, age in enumerate((*ages, now_ms + 1))]
    )
    bench.run_dry()
    stats = bench.stats.snapshot()
    assert stats["results_retimed"] == 3
    assert sum(stats["histograms"]["latency_s"]["counts"]) == 1
    assert 1_000 <= stats["latency_ms"].get("p99", -1) < 10_000
