"""Formats one record of any topic for a terminal. Nothing here raises, whatever the record contains."""

import json
import re
from codecs import BOM_UTF8
from collections import Counter
from typing import Any

from labelstream.deploy.cli.common.console import escape, escape_bytes, shorten
from labelstream.workers.stream.codec.json_spans import check_value

COLUMNS = ("label", "score", "id", "tokens", "model", "source")
WIDTHS, NARROW_WIDTHS = (24, 7, 24, 6, 16), (15, 6, 6, 6, 8)  # of all columns but the last
WIDE = 120  # columns of a terminal that has room for WIDTHS
REASON = "labelstream.reason"
MAX_TOKENS = 10**9  # of one text; a larger number is none of ours
SHOWN_LABELS = 8  # of a result of several texts
_BREAKS = re.compile(rb'("(?:[^"\\]++|\\.)*+")|[\r\n]', re.DOTALL)  # a whole string, or a line break outside strings


def headers_of(record: Any) -> dict[str, str]:
    """The headers as text. The last of equal names counts."""
    return {name: (value or b"").decode("utf-8", "backslashreplace") for name, value in record.headers or ()}


def parsed(value: bytes | None) -> Any:
    """The parsed value; None if the value is no JSON."""
    try:
        return json.loads(value, parse_int=_integer) if value else None
    except (ValueError, RecursionError):
        return None


def _integer(digits: str) -> int | float:
    """NaN for integers beyond Python's limit of digits: metadata may contain such numbers."""
    return int(digits) if len(digits) < 4_300 else float("nan")


def result_in(tree: Any) -> dict[str, Any] | None:
    """The result that a parsed value is, or the last one that `output_shape: enrich` added to it."""
    if not isinstance(tree, dict):
        return None
    added = (one for one in reversed(tree.values()) if isinstance(one, dict) and "event_id" in one)
    return next((one for one in (tree, *added) if isinstance(one.get("source"), dict) and _answer(one)), None)


def as_row(record: Any) -> tuple[str, ...]:
    """The cells of the record's row, in the order of `COLUMNS`, escaped for a terminal."""
    headers = headers_of(record)
    if REASON in headers:
        return _dead_letter(headers)
    tree = parsed(record.value)
    for part in _results_in(tree):
        if (answer := _answer(part)) is not None:
            return _result(part, *answer)
    shown = "(no value)" if record.value is None else shorten(escape_bytes(record.value[:400]), 100)
    if problem := getattr(record.value, "problem", ""):
        shown = f"(cannot be read: {problem})"
    return ("-", "-", shorten(_text(record.key), 40), "-", "-", f"{_place(record)} {shown}")


def as_json_line(record: Any) -> bytes:
    """The value on one line. Without line breaks the value is unchanged; no value is an empty line.

    Line breaks between JSON tokens become spaces. Another value with line breaks becomes a JSON string.
    """
    value: bytes = record.value or b""
    if not _has_breaks(value):
        return value
    try:
        check_value(value.removeprefix(BOM_UTF8))
    except ValueError:
        pass
    else:  # all strings are closed here; else the search would restart at each quote
        line = _BREAKS.sub(lambda found: found[1] or b" ", value)
        if not _has_breaks(line):  # a raw line break in a string is not valid JSON
            return line
    return json.dumps(value.decode("utf-8", "backslashreplace")).encode()


def _has_breaks(value: bytes) -> bool:
    return b"\n" in value or b"\r" in value


def columns_of(row: tuple[str, ...], widths: tuple[int, ...] = (*WIDTHS, 0)) -> str:
    """The row in columns of these widths. Cells are cut to their column; 0: no limit."""
    cells = [shorten(cell, width).ljust(width) if width else cell for cell, width in zip(row, widths, strict=True)]
    return "  ".join(cells).rstrip()


def _results_in(tree: Any) -> list[dict[str, Any]]:
    """What may be a result: the value itself, or the enrichments of a record, the last one first."""
    if not isinstance(tree, dict):
        return []
    parts = [tree, *(part for part in reversed(tree.values()) if isinstance(part, dict) and "event_id" in part)]
    return [part for part in parts if isinstance(part.get("source"), dict)]


def _answer(tree: dict[str, Any]) -> tuple[str, Any] | None:
    """Label and score, or their equivalent for other tasks; None if the object is no result."""
    if "label" in tree and "score" in tree:
        mark = (
            "abstained: " if tree.get("abstained") is True else ""
        )  # in front, so that a narrow column keeps the mark
        return f"{mark}{_scalar(tree['label'])}", tree["score"]
    if isinstance(answers := tree.get("answers"), list):
        return _answers(answers), None
    if isinstance(vector := tree.get("embedding"), list):
        return f"({len(vector)} numbers)", None
    masks = tree.get("masks")
    best = [fills[0] for fills in masks if isinstance(fills, list) and fills] if isinstance(masks, list) else []
    if best and all(isinstance(fill, dict) for fill in best):
        return ", ".join(_scalar(fill.get("token")) for fill in best), best[0].get("score")
    return None


def _answers(answers: list[Any]) -> str:
    """The labels of a list's texts with their numbers, and the reasons of failed texts."""
    labels = Counter(_label_of(answer) if isinstance(answer, dict) else "?" for answer in answers)
    named = [label if count == 1 else f"{label} x{count}" for label, count in labels.most_common(SHOWN_LABELS)]
    return ", ".join([*named, *(["..."] if len(labels) > SHOWN_LABELS else [])])


def _label_of(answer: dict[str, Any]) -> str:
    error = answer.get("error")
    if isinstance(error, dict):
        return f"! {_scalar(error.get('reason'))}"
    found = None if "answers" in answer else _answer(answer)
    return "?" if found is None else found[0]


def _tokens(tree: dict[str, Any]) -> str:
    """Tokens of the result, or of all of its answers; + if a text was truncated."""
    answers = tree.get("answers")
    parts = [part for part in answers if isinstance(part, dict)] if isinstance(answers, list) else [tree]
    tokens: list[Any] = [part.get("tokens") for part in parts if "error" not in part]
    is_sum = len(tokens) > 1 and all(isinstance(one, int) and one < MAX_TOKENS for one in tokens)
    shown = str(sum(tokens)) if is_sum else _scalar(tokens[0] if len(tokens) == 1 else None)
    return f"{shown}{'+' if any(part.get('truncated') for part in parts) else ''}"[:12]


def _result(tree: dict[str, Any], label: str, score: Any) -> tuple[str, ...]:
    source = tree["source"]
    return (
        label,
        _score(score),
        "-" if tree.get("id") is None else shorten(_scalar(tree["id"]), 60),
        _tokens(tree),
        _scalar(tree.get("model", "-")),
        ":".join(_scalar(source.get(part)) for part in ("topic", "partition", "offset")),
    )


def _scalar(value: Any) -> str:
    """A string, number or boolean, escaped for a terminal; "?" for anything else, which no result contains."""
    return escape(str(value)) if isinstance(value, str | int | float) else "?"


def _score(value: Any) -> str:
    """Four decimals; "-" for null; "?" for anything that is no float."""
    try:
        return f"{value:.4f}" if isinstance(value, int | float) else "-" if value is None else "?"
    except OverflowError:
        return "?"


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
