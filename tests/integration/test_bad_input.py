"""Each kind of bad input through a real broker: its reason, its neighbors, and the committed offset."""

import hashlib
import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from labelstream.workers.classifier import Prediction
from tests.integration.conftest import StartWorker
from tests.kafka import Broker
from tests.support.fakes import FakeClassifier
from tests.support.streams import (
    Topics,
    committed,
    produce,
    read_letters,
    read_results,
    wait_until,
)

GOOD = b'{"text":"a good neighbour"}'
ROWS: dict[str, tuple[bytes, str]] = {
    "invalid UTF-8": (b'{"text":"\xff\xfe"}', "invalid_encoding"),
    "not JSON": (b"plain words", "invalid_json"),
    "truncated JSON": (b'{"text":"a', "invalid_json"),
    "NaN": (b'{"text":"a","metadata":{"x":NaN}}', "invalid_json"),
    "Infinity": (b'{"text":"a","metadata":{"x":-Infinity}}', "invalid_json"),
    "deep nesting": (b'{"text":"a","metadata":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001, "invalid_json"),
    "a lone surrogate": (b'{"text":"\\ud800"}', "invalid_text"),
    "duplicate keys": (b'{"text":"a","text":"b"}', "invalid_message"),
    "a wrong type": (b'{"text":5}', "invalid_message"),
    "no text": (b'{"message":"a"}', "invalid_message"),
    "empty text": (b'{"text":""}', "empty_text"),
    "blank text": (b'{"text":" \\u00a0\\n"}', "empty_text"),
    "over the byte cap": (b'{"text":"' + b"a " * 150_000 + b'"}', "too_large"),
    "too many labels": (
        json.dumps({"text": "a", "candidate_labels": list(map(str, range(101)))}).encode(),
        "invalid_labels",
    ),
    "a label too long": (json.dumps({"text": "a", "candidate_labels": ["x" * 300]}).encode(), "invalid_labels"),
    "an empty label": (b'{"text":"a","candidate_labels":["x"," "]}', "invalid_labels"),
    "duplicate labels": (b'{"text":"a","candidate_labels":["x","x"]}', "invalid_labels"),
    "labels x text": (
        json.dumps({"text": "ab " * 4_000, "candidate_labels": list(map(str, range(90)))}).encode(),
        "invalid_labels",
    ),
    "an unknown model": (b'{"text":"a","model":"gpt"}', "unknown_model"),
    "a model of another pipeline": (b'{"text":"a","model":"elsewhere"}', "unknown_model"),
    "schema-registry framing": (b'\x00\x00\x00\x00\x2a{"text":"a"}', "unsupported_encoding"),
    "a result too large": (json.dumps({"text": "a", "metadata": {"m": "x" * 150_000}}).encode(), "result_too_large"),
    "what the model raises on": (b'{"text":"poison"}', "inference_failed"),
}
CLASSIFIED = {
    "what nobody reads": b'{"text":"ab","x":NaN,"x":1e999,"y":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "numbers of any size": b'{"text":"ab","metadata":{"x":1e999,"y":' + b"9" * 400 + b"}}",
    "a byte order mark": b'\xef\xbb\xbf{"text":"ab"}',
    "unknown fields": b'{"text":"ab","stars":5,"more":{"x":1}}',
    "control and bidi characters, NUL": b'{"text":"a\\u0000b\\u202ec\\u0007"}',
    "10,000 spaces": b'{"text":"a' + b" " * 10_000 + b'b"}',
    "text above the model's length": b'{"text":"' + b"word " * 2_000 + b'"}',
}


def topics_of(make_topic: Callable[..., str], **config: Any) -> Topics:
    return Topics(
        make_topic(config=config.get("input")),
        make_topic(config=config.get("output")),
        make_topic(config=config.get("dead_letter")),
    )


def test_each_bad_input_is_dead_lettered_with_its_reason(
    kafka: Broker, make_topic: Callable[..., str], start_worker: StartWorker
) -> None:
    """All bad inputs in one partition, each between two good messages of the same micro-batch."""
    topics = topics_of(make_topic, output={"max.message.bytes": "100000"})
    values: list[bytes | None] = [GOOD]
    for value, _ in ROWS.values():
        values += [value, GOOD]
    values += [*CLASSIFIED.values(), None, GOOD]
    produce(kafka.bootstrap, topics.input, [(b"key-%d" % i, value) for i, value in enumerate(values)])
    worker = start_worker(topics, limits={"max_message_bytes": 200_000})

    letters = read_letters(kafka.bootstrap, topics.dead_letter, len(ROWS))
    results = read_results(kafka.bootstrap, topics.output, len(values) - len(ROWS) - 1)
    wait_until(lambda: committed(kafka.bootstrap, "labelstream-p", topics.input) == {0: len(values)}, 20, "the commit")

    reasons = {int(headers["__connect.errors.offset"]): headers["labelstream.reason"] for headers, _ in letters}
    assert reasons == {2 * i + 1: reason for i, (_, reason) in enumerate(ROWS.values())}
    bad = set(reasons) | {len(values) - 2}
    assert [r["source"]["offset"] for r in results] == [i for i in range(len(values)) if i not in bad]
    assert all(r["label"] == "NEGATIVE" or r["label"] == "POSITIVE" for r in results)
    for headers, letter in letters:
        offset = int(headers["__connect.errors.offset"])
        assert letter.key() == b"key-%d" % offset
        assert letter.value() == values[offset]
        assert headers["__connect.errors.topic"] == topics.input
    stats = worker.stats()
    assert stats["skipped"] == 1  # the tombstone
    assert stats["unknown_fields"] == 4


def test_odd_labels_come_out_unchanged(
    kafka: Broker, make_topic: Callable[..., str], start_worker: StartWorker
) -> None:
    labels = ("{}", "%s", "a\u0007b\n", "{0.__class__}")
    topics = topics_of(make_topic)
    produce(kafka.bootstrap, topics.input, [(None, GOOD)])
    start_worker(topics, FakeClassifier(lambda _: Prediction(labels, (0.4, 0.3, 0.2, 0.1), 3, False, "r")))
    (result,) = read_results(kafka.bootstrap, topics.output, 1)
    assert tuple(entry["label"] for entry in result["scores"]) == labels


def test_text_format_and_text_field_are_read(
    kafka: Broker, make_topic: Callable[..., str], start_worker: StartWorker
) -> None:
    plain, logs = topics_of(make_topic), topics_of(make_topic)
    produce(kafka.bootstrap, plain.input, [(None, b"just words"), (None, b"\xff"), (None, b'{"text":5}')])
    start_worker(plain, format="text", group_id="plain")
    assert len(read_results(kafka.bootstrap, plain.output, 2)) == 2
    ((headers, _),) = read_letters(kafka.bootstrap, plain.dead_letter, 1)
    assert headers["labelstream.reason"] == "invalid_encoding"

    event = {"event": {"message": "disk full", "level": 3}, "host": "a"}
    produce(kafka.bootstrap, logs.input, [(None, json.dumps(event).encode()), (None, b'{"event":{}}')])
    start_worker(logs, text_field="event.message", group_id="logs")
    (result,) = read_results(kafka.bootstrap, logs.output, 1)
    assert result["tokens"] == 4
    ((headers, _),) = read_letters(kafka.bootstrap, logs.dead_letter, 1)
    assert headers["labelstream.reason"] == "invalid_message"


def test_dead_letter_above_limit_omits_value(
    kafka: Broker, make_topic: Callable[..., str], start_worker: StartWorker
) -> None:
    topics = topics_of(make_topic, dead_letter={"max.message.bytes": "5000"})
    value = b'{"text":"' + b"\xff" * 20_000 + b'"}'
    produce(kafka.bootstrap, topics.input, [(b"k", value), (b"k", GOOD)], headers=[("own", b"header")])
    start_worker(topics)
    ((headers, letter),) = read_letters(kafka.bootstrap, topics.dead_letter, 1)
    assert headers["labelstream.value_omitted"] == f"bytes={len(value)};sha256={hashlib.sha256(value).hexdigest()}"
    assert headers["own"] == "header"
    assert (letter.key(), letter.value()) == (b"k", b"")
    assert len(read_results(kafka.bootstrap, topics.output, 1)) == 1


def test_result_refused_by_broker_is_dead_lettered(
    kafka: Broker, make_topic: Callable[..., str], start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the topic's limit is unreadable, the broker refuses the result, with the same outcome."""
    monkeypatch.setattr("labelstream.workers.stream.broker.topics.TopicSettings.max_message_bytes", lambda _: None)
    topics = topics_of(make_topic, output={"max.message.bytes": "3000"}, dead_letter={"max.message.bytes": "3000"})
    noise = random.Random(1).randbytes(6_000).hex()  # incompressible: lz4 must not shrink the record
    large = json.dumps({"text": "a", "metadata": {"m": noise}}).encode()
    produce(kafka.bootstrap, topics.input, [(b"k", GOOD), (b"k", large), (b"k", GOOD)])
    start_worker(topics)
    letters = read_letters(kafka.bootstrap, topics.dead_letter, 1)
    assert [headers["labelstream.reason"] for headers, _ in letters] == ["result_too_large"]
    wait_until(lambda: committed(kafka.bootstrap, "labelstream-p", topics.input) == {0: 3}, 20, "the commit")
    assert [r["source"]["offset"] for r in read_results(kafka.bootstrap, topics.output, 2)] == [0, 2]
