"""Dead letters -> what a person or a program sees of them. Whatever a letter holds, nothing here raises."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from labelstream.deploy.cli.common.console import escape, escape_bytes, plural

COLUMNS = ("place", "time", "reason", "source", "attempts", "redriven")
WIDTHS = (10, 20, 20, 32, 8, 0)


def as_row(letter: Any, redriven: bool) -> tuple[str, ...]:
    """The letter under `COLUMNS`, safe for a terminal. Nothing of its key, value or own headers is in it."""
    return (
        place_of(letter),
        time_of(letter),
        escape(letter.reason) or "-",
        escape(source_of(letter)),
        str(letter.attempts),
        "yes" if redriven else "no",
    )


def as_entry(letter: Any, redriven: bool) -> dict[str, Any]:
    """The same for a program."""
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
    """The whole record as a line of JSON. What is not UTF-8 stands as {"base64": ...}."""
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
    """All of it in lines that are safe for a terminal."""
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
    except (ValueError, OverflowError, OSError):  # foreign clocks
        return "-"


def report_lines(report: Any, to: str, sent: str) -> Iterator[str]:
    """What became of the letters. `sent`: the verb for those that are not refused."""
    yield f"{plural(report.sent, 'dead letter')} {sent} {to}"
    for refusal, count in sorted(report.refused.items()):
        places = ", ".join(f"{partition}:{offset}" for partition, offset in report.examples[refusal])
        more = ", ..." if count > len(report.examples[refusal]) else ""
        yield f"{count} not: {refusal.format(to=to)} ({places}{more})"


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
