"""Durations and times as people write them: `90s`, `10m`, `1h30m`, and ISO 8601."""

import re
from datetime import UTC, datetime

from labelstream.workers.errors import ConfigError

_UNITS_S = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_SHOWN = ((86_400, "d"), (3_600, "h"), (60, "min"))
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>[0-9]{{1,9}}){unit})?" for unit in _UNITS_S))


def duration_s(option: str, text: str) -> float:
    """Seconds; a number without a unit is seconds. Raises ConfigError naming `option`."""
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        return float(text)
    found = _units_s(text)
    if found is None:
        raise ConfigError(option, f"{text!r} is not a duration", "for example 90s, 10m, 1h30m, 2d, or seconds: 90")
    return found


def time_ms(option: str, text: str, now: datetime | None = None) -> int:
    """Milliseconds since 1970: of a duration before `now`, or of an ISO 8601 time (UTC unless it names a zone).

    Raises ConfigError naming `option`.
    """
    ago_s = _units_s(text)
    try:
        if ago_s is not None:
            return max(0, int(((now or datetime.now(UTC)).timestamp() - ago_s) * 1000))
        time = datetime.fromisoformat(text)
        return max(0, int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000))
    except (ValueError, OverflowError):
        fix = "for example 2026-11-21T14:00:00Z, or 90s, 15m, 2h, 3d, 1w before now"
        raise ConfigError(option, f"{text!r} is not a time", fix) from None


def shown_s(seconds: float | None) -> str:
    """A duration in the unit that fits: `-`, `350 ms`, `1.4 s`, `12 s`, `5 min`, `3 h` or `2 d`."""
    if seconds is None:
        return "-"
    for unit_s, name in _SHOWN:
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {name}"
    if 0 < seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if 1 <= seconds < 9.95 else f"{seconds:.0f} s"


def shown_ms(milliseconds: float | None) -> str:
    """See `shown_s`."""
    return shown_s(None if milliseconds is None else milliseconds / 1000)


def _units_s(text: str) -> int | None:
    """Seconds of numbers with units, the largest unit first; None for anything else."""
    found = _DURATION.fullmatch(text)
    return None if not text or found is None else sum(int(found[unit] or 0) * _UNITS_S[unit] for unit in _UNITS_S)
