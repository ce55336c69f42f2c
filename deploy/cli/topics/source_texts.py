"""Looks up the texts of results and dead letters in the input topics."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from labelstream.deploy.cli.common.console import escape
from labelstream.deploy.cli.topics.record_view import REASON, as_json_line, headers_of, parsed, result_in

_SOURCE = "__connect.errors."  # prefix of a dead letter's headers


class SourceText(NamedTuple):
    """`missing`: why there is no text. Both are empty for a record that has no source record."""

    text: str | None = None
    missing: str = ""


class SourceTexts:
    """`pipelines`: settings of the known pipelines, which locate the text."""

    def __init__(self, lookup: Any, pipelines: Iterable[Any] = ()) -> None:
        from labelstream.workers.stream.codec.decode import decoder

        self._lookup = lookup
        self._decoders = [(pipeline.inputs, decoder(pipeline)) for pipeline in pipelines]

    def of(self, records: Iterable[Any]) -> list[SourceText]:
        """The source text of each record, with one lookup for all. Raises StartError."""
        places = [(record, _place_of(record)) for record in records]
        own = [None if place is None else _own_text(record) for record, place in places]
        asked = {
            place
            for (record, place), text in zip(places, own, strict=True)
            if place is not None and text is None and not _is_whole(record)
        }
        found: Mapping[Any, Any] = self._lookup.find(asked)
        return [
            SourceText()
            if place is None
            else SourceText(text)
            if text is not None
            else SourceText(self._text(place.topic, record))
            if _is_whole(record)
            else SourceText(None, found[place])
            if isinstance(found[place], str)
            else SourceText(self._text(place.topic, found[place]))
            for (record, place), text in zip(places, own, strict=True)
        ]

    def _text(self, topic: str, record: Any) -> str:
        """The text by the pipeline's rules; else the field `text` of a JSON object, or the whole value."""
        from labelstream.workers.stream.codec.rejection import DecodeError

        value: bytes | None = record.value
        for decode in (decode for inputs, decode in self._decoders if inputs.match(topic)):
            with suppress(DecodeError):
                return decode(value or b"", record.key, record.headers).text
        tree = parsed(value)
        if isinstance(tree, dict) and isinstance(tree.get("text"), str):
            return tree["text"]
        return (value or b"").decode("utf-8", "backslashreplace")


@contextmanager
def source_texts(broker: Any, pipelines: Iterable[Any]) -> Iterator[SourceTexts]:
    from labelstream.workers.stream.broker.record_lookup import RecordLookup

    lookup = RecordLookup(broker.config, broker.settings, "the texts")
    try:
        yield SourceTexts(lookup, pipelines)
    finally:
        lookup.close()


def json_with_text(record: Any, source: SourceText) -> bytes:
    """The value's line with the text, or why it is missing, as first field.

    Dead letters, and results with `include_text`, contain their own text.
    """
    line = as_json_line(record)
    if source == SourceText() or REASON in headers_of(record) or _own_text(record) is not None:
        return line
    added = {"text": source.text} | ({"text_missing": source.missing} if source.missing else {})
    return json.dumps(added)[:-1].encode() + b", " + line.lstrip()[1:].lstrip()


def as_cell(source: SourceText) -> str:
    """The text, or why it is missing, escaped for a terminal."""
    return escape(source.text) if source.text is not None else f"({source.missing})" if source.missing else "-"


def _is_whole(record: Any) -> bool:
    """Does the dead letter contain its source value? Values that are too large are left out."""
    return bool(record.value) and REASON in headers_of(record)


def _own_text(record: Any) -> str | None:
    """The text in a result whose pipeline has `include_text`; several texts joined."""
    tree = None if REASON in headers_of(record) else parsed(record.value)
    if not isinstance(tree, dict):
        return None
    answers = tree.get("answers") if result_in(tree) is tree else None
    parts = answers if isinstance(answers, list) else [tree]
    texts = [text for part in parts if isinstance(part, dict) and isinstance(text := part.get("text"), str)]
    return " ".join(texts) if texts else None


def _place_of(record: Any) -> Any:
    from labelstream.workers.stream.broker.record_lookup import RecordPlace

    headers = headers_of(record)
    if REASON in headers:
        source: Any = {part: headers.get(_SOURCE + part) for part in RecordPlace._fields}
    else:
        tree = parsed(record.value)
        source = (result_in(tree) or tree).get("source") if isinstance(tree, dict) else None
    try:
        place = RecordPlace(str(source["topic"]), int(source["partition"]), int(source["offset"]))
    except (TypeError, KeyError, ValueError, OverflowError):
        return None
    return place if 0 <= place.partition < 2**31 and 0 <= place.offset < 2**63 else None
