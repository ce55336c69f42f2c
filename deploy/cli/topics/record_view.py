"""One record of any topic -> what a person sees of it. Whatever a record holds, nothing here raises."""

import json
from typing import Any

from labelstream.deploy.cli.common.console import escape, escape_bytes, shorten

COLUMNS = ("label", "score", "id", "tokens", "model", "source")
_WIDTHS = (24, 7, 24, 6, 16, 0)
REASON = "labelstream.reason"


def headers_of(record: Any) -> dict[str, str]:
    """Its headers as text; of headers with the same name, the last."""
    return {name: (value or b"").decode("utf-8", "backslashreplace") for name, value in record.headers or ()}


def parsed(value: bytes | None) -> Any:
    """The value's JSON, None when it is none."""
    try:
        return json.loads(value) if value else None
    except (ValueError, RecursionError):
        return None


def as_row(record: Any) -> tuple[str, ...]:
    """The record under `COLUMNS`, safe for a terminal."""
    headers = headers_of(record)
    if REASON in headers:
        return _dead_letter(headers)
    tree = parsed(record.value)
    if isinstance(tree, dict) and isinstance(tree.get("source"), dict) and (answer := _answer(tree)) is not None:
        return _result(tree, *answer)
    shown = "(no value)" if record.value is None else shorten(escape_bytes(record.value[:400]), 100)
    if problem := getattr(record.value, "problem", ""):
        shown = f"(cannot be read: {problem})"
    return ("-", "-", shorten(_text(record.key), 40), "-", "-", f"{_place(record)} {shown}")


def as_json_line(record: Any) -> bytes:
    """The value on one line: untouched, unless it has line breaks; an empty line for none."""
    value: bytes = record.value or b""
    if b"\n" not in value and b"\r" not in value:
        return value
    tree = parsed(value)
    return json.dumps(value.decode("utf-8", "backslashreplace") if tree is None else tree, ensure_ascii=True).encode()


def columns_of(row: tuple[str, ...], widths: tuple[int, ...] = _WIDTHS) -> str:
    """The row in columns; only the last one is longer than its column."""
    cells = [shorten(cell, width).ljust(width) if width else cell for cell, width in zip(row, widths, strict=True)]
    return "  ".join(cells).rstrip()


def _answer(tree: dict[str, Any]) -> tuple[str, Any] | None:
    """Label and score, or what stands for them in the results of other tasks; None: it is no result."""
    if "label" in tree and "score" in tree:
        return str(tree["label"]), tree["score"]
    if isinstance(vector := tree.get("embedding"), list):
        return f"({len(vector)} numbers)", None
    masks = tree.get("masks")
    best = [fills[0] for fills in masks if isinstance(fills, list) and fills] if isinstance(masks, list) else []
    if best and all(isinstance(fill, dict) for fill in best):
        return ", ".join(str(fill.get("token")) for fill in best), best[0].get("score")
    return None


def _result(tree: dict[str, Any], label: str, score: Any) -> tuple[str, ...]:
    source = tree["source"]
    return (
        escape(label),
        f"{score:.4f}" if isinstance(score, int | float) else "-" if score is None else "?",
        "-" if tree.get("id") is None else shorten(escape(str(tree["id"])), 60),
        f"{tree.get('tokens', '?')}{'+' if tree.get('truncated') else ''}"[:12],
        escape(str(tree.get("model", "-"))),
        escape(f"{source.get('topic')}:{source.get('partition')}:{source.get('offset')}"),
    )


def _dead_letter(headers: dict[str, str]) -> tuple[str, ...]:
    where = ":".join(headers.get(f"__connect.errors.{part}", "?") for part in ("topic", "partition", "offset"))
    message = headers.get("__connect.errors.exception.message", "")
    return (
        f"! {escape(headers[REASON])}",
        "-",
        "-",
        "-",
        escape(headers.get("labelstream.model") or "-"),
        escape(f"{where} {shorten(message, 100)}").rstrip(),
    )


def _text(key: bytes | None) -> str:
    return "-" if key is None else escape_bytes(key)


def _place(record: Any) -> str:
    return f"{record.topic}:{record.partition}:{record.offset}"
