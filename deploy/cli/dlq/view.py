"""Formats dead letters for people and programs. Nothing here raises, whatever a dead letter contains."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from labelstream.deploy.cli.common.console import escape, escape_bytes, plural, shorten_start
from labelstream.deploy.cli.topics.record_view import columns_of

COLUMNS = ("place", "time", "reason", "source", "attempts", "redriven")
WIDTHS, NARROW_WIDTHS = (10, 20, 20, 32, 8, 8), (11, 11, 16, 16, 8, 8)
WIDE = 108  # columns of a terminal that has room for WIDTHS


def as_row(letter: Any, redriven: bool) -> tuple[str, ...]:
    """The cells in the order of `COLUMNS`, escaped for a terminal. No part of key, value or the record's headers."""
    return (
        place_of(letter),
        time_of(letter),
        escape(letter.reason) or "-",
        escape(source_of(letter)),
        str(letter.attempts),
        "yes" if redriven else "no",
    )


def fitted(row: tuple[str, ...], width: int) -> str:
    """A row of `list` for a terminal of `width` columns: below `WIDE`, short times and sources."""
    if width >= WIDE:
        return columns_of(row, WIDTHS)
    place, time, reason, source, *counts = row
    return columns_of((place, time[5:16] or time, reason, shorten_start(source, 16), *counts), NARROW_WIDTHS)


def as_entry(letter: Any, redriven: bool) -> dict[str, Any]:
    """The same as `as_row`, for a program."""
    known = letter.partition >= 0 and letter.offset >= 0
    source = {"topic": letter.topic, "partition": letter.partition, "offset": letter.offset}
    return {
        "partition": letter.record.partition,
        "offset": letter.record.offset,
        "time": time_of(letter),
        "reason": letter.reason or None,
        "source": source if known else None,
        "attempts": letter.attempts,
        "redriven_before": letter.redriven,
        "redriven": redriven,
    }


def as_export(letter: Any) -> str:
    """The whole record as a line of JSON. Bytes that are not UTF-8 become {"base64": ...}."""
    record = letter.record
    return json.dumps(
        {
            "partition": record.partition,
            "offset": record.offset,
            "timestamp_ms": record.timestamp,
            "key": _text(record.key),
            "value": _text(record.value),
            "headers": [[_text(name.encode()), _text(value)] for name, value in record.headers],
        },
        ensure_ascii=False,
    )


def in_full(letter: Any, redriven: bool) -> Iterator[str]:
    """The whole dead letter, in lines that are escaped for a terminal."""
    record = letter.record
    yield from (f"{name:<9} {cell}" for name, cell in zip(COLUMNS, as_row(letter, redriven), strict=True))
    yield "headers" if record.headers else "headers   (none)"
    for name, value in record.headers:
        yield f"  {_shown(name.encode())}: {_shown(value)}"
    yield f"key       {_shown(record.key)}"
    if letter.omitted and not record.value:
        yield f"value     (left out: {escape(letter.omitted)})"
    else:
        yield f"value     {_shown(record.value)}"


def place_of(letter: Any) -> str:
    return f"{letter.record.partition}:{letter.record.offset}"


def source_of(letter: Any) -> str:
    return f"{letter.topic}:{letter.partition}:{letter.offset}" if letter.topic else "-"


def time_of(letter: Any) -> str:
    try:
        return datetime.fromtimestamp(letter.record.timestamp / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):  # the timestamp of a foreign clock
        return "-"


def report_lines(report: Any, to: str, sent: str) -> Iterator[str]:
    """The result of a redrive. `sent`: the verb for the dead letters that were not refused."""
    yield f"{plural(report.sent, 'dead letter')} {sent} {to}"
    for refusal, count in sorted(report.refused.items()):
        places = ", ".join(f"{partition}:{offset}" for partition, offset in report.examples[refusal])
        more = ", ..." if count > len(report.examples[refusal]) else ""
        yield f"{count} not sent: {refusal.format(to=to)} ({places}{more})"


def _shown(value: bytes | None) -> str:
    return "(none)" if value is None else escape_bytes(value)


def _text(value: bytes | None) -> Any:
    if value is None:
        return None
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        import base64

        return {"base64": base64.b64encode(value).decode()}
