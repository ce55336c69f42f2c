"""Durations and times as users write them."""

from datetime import UTC, datetime

import pytest

from labelstream.deploy.cli.common.times import duration_s, shown_s, time_ms
from labelstream.workers.errors import ConfigError

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def milliseconds(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("90", 90), ("0.5", 0.5), ("90s", 90), ("10m", 600), ("1h30m", 5_400), ("1d", 86_400), ("1w", 604_800)],
)
def test_duration_has_units_or_is_seconds(text: str, seconds: float) -> None:
    assert duration_s("--wait", text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "10 m", "m", "1m1h", "1e9", "nan", "9" * 20])
def test_invalid_duration_names_the_option(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--wait: .* is not a duration; for example 90s, 10m, 1h30m"):
        duration_s("--wait", text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", milliseconds(2026, 11, 21, 10)),
        ("90s", milliseconds(2026, 11, 21, 11, 58, 30)),
        ("1h30m", milliseconds(2026, 11, 21, 10, 30)),
        ("1w", milliseconds(2026, 11, 14, 12)),
        ("999999999w", 0),
        ("2026-11-21", milliseconds(2026, 11, 21)),
        ("2026-11-21T08:30", milliseconds(2026, 11, 21, 8, 30)),
        ("2026-11-21T08:30Z", milliseconds(2026, 11, 21, 8, 30)),
        ("2026-11-21T08:30+02:00", milliseconds(2026, 11, 21, 6, 30)),
        ("1960-01-01", 0),
    ],
)
def test_time_is_a_duration_before_now_or_iso(text: str, expected: int) -> None:
    assert time_ms("--since", text, NOW) == expected


@pytest.mark.parametrize("text", ["", "soon", "2", "h", "-2h", "2026-13-01", "2 hours"])
def test_invalid_time_names_the_option(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--since: .* is not a time; for example"):
        time_ms("--since", text, NOW)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0, "0 s"),
        (0.0123, "12 ms"),
        (1.44, "1.4 s"),
        (9.96, "10 s"),
        (119.4, "119 s"),
        (300, "5 min"),
        (7_200, "2 h"),
        (86_400, "24 h"),
        (172_800, "2 d"),
    ],
)
def test_duration_is_shown_in_the_unit_that_fits(seconds: float | None, text: str) -> None:
    assert shown_s(seconds) == text
