"""Headers of results: the input's own ones, CloudEvents, and numbers in headers."""

from types import SimpleNamespace
from typing import Any

import pytest

from labelstream.workers.stream.codec.encoding.headers import number_in, own_headers, result_headers


def record(headers: list[tuple[str, bytes | None]]) -> Any:
    return SimpleNamespace(topic="in", partition=0, offset=3, headers=headers)


def test_null_becomes_empty_and_headers_of_a_redrive_end() -> None:
    found = record([("own", None), ("labelstream.attempts", b"2"), ("b", b"1")])
    assert own_headers(found) == [("own", b""), ("b", b"1")]


def test_cloudevents_replace_those_of_the_input() -> None:
    headers = result_headers("cloudevents", "p", record([("ce_id", b"theirs"), ("own", b"1")]), "text-classification")
    assert headers == [
        ("own", b"1"),
        ("ce_specversion", b"1.0"),
        ("ce_id", b"p/in/0/3"),
        ("ce_source", b"/labelstream/p"),
        ("ce_type", b"labelstream.text-classification.v1"),
        ("content-type", b"application/json"),
    ]


@pytest.mark.parametrize(
    ("value", "number"), [(b"7", 7), (b"-7", 5), (b"", 5), (None, 5), (b"9" * 18, 10**18 - 1), (b"9" * 19, 5)]
)
def test_header_without_a_number_counts_as_the_default(value: bytes | None, number: int) -> None:
    assert number_in([("n", b"1"), ("n", value)], "n", 5) == number
