"""The text beside a result, for records with any content."""

import json
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from labelstream.deploy.cli.topics.source_texts import SourceText, SourceTexts, as_cell, json_with_text
from labelstream.workers.stream.broker.record_lookup import RecordPlace
from tests.support.decoding import pipeline

RESULT = b'{"label": "GOOD", "score": 1.10, "source": {"topic": "in", "partition": 1, "offset": 2}}'
LETTER = [
    ("labelstream.reason", b"too_large"),
    ("__connect.errors.topic", b"in"),
    ("__connect.errors.partition", b"1"),
    ("__connect.errors.offset", b"2"),
]


def record(value: bytes | None, headers: Any = ()) -> Any:
    return SimpleNamespace(value=value, key=None, headers=list(headers))


class Lookup:
    """A lookup that finds `value` at in:1:2."""

    def __init__(self, value: bytes) -> None:
        self.asked: list[set[RecordPlace]] = []
        self._value = value

    def find(self, places: Iterable[RecordPlace]) -> dict[RecordPlace, Any]:
        self.asked.append(set(places))
        here = RecordPlace("in", 1, 2)
        return {place: record(self._value) if place == here else "deleted by retention" for place in places}


@pytest.mark.parametrize(
    ("value", "settings", "text"),
    [
        (b'{"text": "so", "id": 1}', None, "so"),
        (b'{"a": {"b": "so"}}', {"text_field": "a.b"}, "so"),
        (b'{"text": "so"}', {"format": "text"}, '{"text": "so"}'),
        (b'{"a": 1}', {"text_field": "a.b"}, '{"a": 1}'),
        (b"plain \xff", None, "plain \\xff"),
    ],
)
def test_text_follows_rules_of_the_pipeline(value: bytes, settings: Any, text: str) -> None:
    lookup = Lookup(value)
    texts = SourceTexts(lookup, [] if settings is None else [pipeline(**settings)])
    assert texts.of([record(RESULT), record(RESULT)]) == [SourceText(text)] * 2
    assert lookup.asked == [{RecordPlace("in", 1, 2)}]


def test_dead_letter_with_value_has_its_own_text() -> None:
    lookup = Lookup(b"from the source")
    found = SourceTexts(lookup).of([record(b"its own", LETTER), record(b"", LETTER)])
    assert found == [SourceText("its own"), SourceText("from the source")]
    assert json_with_text(record(b'{"text":"own"}', LETTER), SourceText("own")) == b'{"text":"own"}'


def test_text_of_an_enriched_record_is_that_of_its_source() -> None:
    value = b'{"m": "so", "labelstream": %s, "event_id": "p/in/1/2"}}' % RESULT[:-1]
    texts = SourceTexts(Lookup(b'{"m": "so"}'), [pipeline(text_field="m")])
    assert texts.of([record(value)]) == [SourceText("so")]


def test_result_with_its_text_needs_no_source_record() -> None:
    lookup, own = Lookup(b"from the source"), record(RESULT[:-1] + b', "text": "its own"}')
    (found,) = SourceTexts(lookup).of([own])
    assert found == SourceText("its own")
    assert lookup.asked == [set()]
    assert json_with_text(own, found) == own.value, "no second field of the same name"


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"plain",
        b'{"source": "in"}',
        b'{"source": {"topic": "in"}}',
        b'{"source": {"topic": "in", "partition": 1, "offset": -2}}',
        b'{"source": {"topic": "in", "partition": 1e999, "offset": 2}}',
    ],
)
def test_record_that_is_no_result_has_no_text(value: bytes | None) -> None:
    lookup = Lookup(b"")
    assert SourceTexts(lookup).of([record(value)]) == [SourceText()]
    assert lookup.asked == [set()]


def test_missing_source_record_gives_its_reason() -> None:
    gone = record(RESULT.replace(b'"offset": 2', b'"offset": 1'))
    [found] = SourceTexts(Lookup(b"")).of([gone])
    assert found == SourceText(None, "deleted by retention")
    assert as_cell(found) == "(deleted by retention)"
    line = json.loads(json_with_text(gone, found))
    assert (line["text"], line["text_missing"], line["label"]) == (None, "deleted by retention", "GOOD")


def test_json_has_whole_text_and_unchanged_value() -> None:
    text = "x\x1b" * 1_000
    line = json_with_text(record(RESULT), SourceText(text))
    assert line == b'{"text": %s, %s' % (json.dumps(text).encode(), RESULT[1:])
    assert json_with_text(record(RESULT), SourceText()) == RESULT
    assert as_cell(SourceText(text)) == "x\\x1b" * 1_000
    assert as_cell(SourceText()) == "-"


LISTED = b'{"answers": [{"label": "GOOD"}, {"error": {}}], "source": {"topic": "in", "partition": 1, "offset": 2}}'


def test_texts_of_a_list_are_joined() -> None:
    value = b'{"l": ["so", " ", "good"]}'
    texts = SourceTexts(Lookup(value), [pipeline(fields={"text": "l[*]"})])
    assert texts.of([record(LISTED), record(value, LETTER)]) == [SourceText("so good")] * 2
    own = record(LISTED.replace(b'"GOOD"', b'"GOOD", "text": "its own"'))
    (found,) = texts.of([own])
    assert found == SourceText("its own")
    assert json_with_text(own, found) == own.value
