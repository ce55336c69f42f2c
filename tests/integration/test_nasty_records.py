"""The nastiest JSON through a real broker: each record comes back byte for byte, or is a dead letter with a reason."""

from collections import Counter
from typing import Any

import pytest

from tests.chaos.verify import split
from tests.integration.conftest import MakeTopic, StartWorker
from tests.kafka import Broker
from tests.support.streams import Topics, produce, read_all, read_letters, read_results

DEEP, LONG = 10_000, 900_000
TAKEN = [
    b'{"m":"a","x":1,"x":2}',
    b'{"m":"a","x":"\\ud800\\udc00\\ud800"}',
    b'{"m":"\\ud83d\\ude00"}',
    b'{"m":"a","x":' + b"[" * DEEP + b"]" * DEEP + b"}",
    b'{"m":"a","x":' + b'{"x":' * DEEP + b"1" + b"}" * DEEP + b"}",
    b'\xef\xbb\xbf{"m":"a"}',
    b'{"m":"a\\u0000b","\\u0000":0,"":{"":""}}',
    b'{"m":"a","x":' + b"9" * 100_000 + b"}",
    b'{"m":"a","x":"' + b"y" * LONG + b'"}',
    b'{"m":"' + b"word " * (LONG // 5) + b'"}',
    b'\r\n{\r\n"m"\t:\r"a"\r\n}\r\n \t',
    b'{"m":"a","x":-0,"y":-0.0,"z":1E400,"w":1e-400,"v":0.1000000000000000055511151231257827}',
    b'{"m":"a","x":NaN,"y":[Infinity,-Infinity]}',
    b'{"m":"a","x":"\xff\xfe\x00"}',
    b'{"m":"a","x":"}","y":"{\\"severity\\":1}","z":["}",{"severity":1}]}',
    b'{"m":"a","x":"\\"severity\\":{\\"schema_version\\":1"}',
    b'{"\\u006d":"a"}',
    b'{"m":"a","severit\\u0079 ":1,"Severity":2}',
    '{"m":"a","s\u200beverity":1,"\u017feverity":2}'.encode(),
    b'{"x":{"m":1},"m":"a"}',
    b'{"m":"a","x":"\\q"}',
    b'{"m":"a","x":"\x01"}',
]
EXISTING = [
    b'{"severity":1,"m":"a" }',
    b'{"sev\\u0065rity" : {"x":[1,"}"]} ,"m":"a"}',
    b'\xef\xbb\xbf{"severity":NaN,"m":"a"}',
]
EXISTING_WITHOUT_VALUE = [
    b'{"severity":,"m":"a" }',
    b'{"sev\\u0065rity" :  ,"m":"a"}',
    b'\xef\xbb\xbf{"severity":,"m":"a"}',
]
REFUSED = [
    b'{"m":"a"}x',
    b'{"m":"a"}{"m":"b"}',
    b'{"m":"a",}',
    b'{"m":"a"',
    b'{"m":"a","m":"b"}',
    b'{"m":"a","\\u006d":"b"}',
    b'{"m":"\\ud800"}',
    b'{"m":"\xff"}',
    b'{"m":' + b"[" * DEEP + b"]" * DEEP + b"}",
    b'{"m":-0}',
    b'["m","a"]',
    b'"a"',
    b"\x00",
    b'\x00{"m":"a"}',
    '{"m":"a"}'.encode("utf-16"),
    b"{'m':'a'}",
    b'{"m":"a","x":1,"x"}',
    b'{"m":"a" /* note */}',
    b'{m:"a"}',
    b"",
    b'{"m":"a","x":' + b"[" * DEEP + b"]" * (DEEP - 1) + b"}",
]
TWICE = [b'{"m":"a","severity":1,"severity":2}', b'{"m":"a","severity":1,"s\\u0065verity":2}']


def send(kafka: Broker, topic: str) -> list[bytes]:
    values = [*TAKEN, *EXISTING, *REFUSED, *TWICE]
    produce(kafka.bootstrap, topic, [(b"k%d" % number, value) for number, value in enumerate(values)])
    return values


def topics_of(make_topic: MakeTopic) -> Topics:
    return Topics(make_topic(), make_topic(), make_topic())


def refused_values(kafka: Broker, topic: str, count: int) -> Counter[bytes]:
    letters = read_letters(kafka.bootstrap, topic, count)
    assert all(
        headers["labelstream.reason"] and headers["__connect.errors.exception.message"] for headers, _ in letters
    )
    return Counter(letter.value() or b"" for _, letter in letters)


EXACTLY = {"delivery": "exactly_once", "transaction_interval_ms": 100}


def test_nasty_records_have_a_result_or_a_reason(
    kafka: Broker, make_topic: MakeTopic, start_worker: StartWorker
) -> None:
    topics = topics_of(make_topic)
    send(kafka, topics.input)
    start_worker(topics, fields={"text": "m"}, **EXACTLY)
    good = len(TAKEN) + len(EXISTING) + len(TWICE)
    results = read_results(kafka.bootstrap, topics.output, good)
    assert refused_values(kafka, topics.dead_letter, len(REFUSED)) == Counter(REFUSED)
    assert len({result["event_id"] for result in results}) == len(results) == good


@pytest.mark.parametrize(
    ("fields", "existing"),
    [
        ({"text_field": "m"}, "dead_letter"),
        ({"fields": {"text": ["m", "gone"], "metadata": ["m"]}}, "replace"),
    ],
)
def test_nasty_records_come_back_enriched_or_have_a_reason(
    kafka: Broker, make_topic: MakeTopic, start_worker: StartWorker, fields: dict[str, Any], existing: str
) -> None:
    topics, routed = topics_of(make_topic), make_topic()
    send(kafka, topics.input)
    start_worker(
        topics,
        output_shape="enrich",
        enrich_field="severity",
        on_existing=existing,
        route=[{"label": ["NEGATIVE", "POSITIVE"], "min_score": 0, "topic": routed}],
        only_if={"field": "m", "exists": True} if "fields" in fields else (),
        **fields,
        **EXACTLY,
    )
    is_replaced = existing == "replace"
    good = TAKEN + (EXISTING if is_replaced else [])
    bad = REFUSED + TWICE + ([] if is_replaced else EXISTING)
    if "fields" in fields:  # what has no field `m` is skipped
        bad = [value for value in bad if value not in (b'["m","a"]', b'"a"')]
    assert refused_values(kafka, topics.dead_letter, len(bad)) == Counter(bad)
    found = read_all(kafka.bootstrap, routed, lambda found: len(found) >= len(good))
    assert Counter(_without_answer(message.value()) for message in found) == Counter(
        [*TAKEN, *(EXISTING_WITHOUT_VALUE if is_replaced else [])]
    )
    assert read_all(kafka.bootstrap, topics.output, bool, 1) == []


def _without_answer(value: bytes) -> bytes:
    """`value` without the member at its end, or without the answer in the place of another value."""
    part, rest = split(value)
    assert part is not None
    head, name, tail = rest.rpartition(b',"severity":')
    return head + tail if name and tail.strip() == b"}" else rest
