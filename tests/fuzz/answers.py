"""Every decoded message must encode: results valid by their schema, and dead letters that redrive the same record."""

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st
from kafka.consumer.fetcher import ConsumerRecord

from labelstream.schemas.dead_letter import Reason
from labelstream.schemas.message import Verbatim
from labelstream.schemas.result import RESULT
from labelstream.workers.classifier import Embedding, Fill, MaskFill, Prediction
from labelstream.workers.stream.codec.encoding.dead_letters import encode_dead_letter
from labelstream.workers.stream.codec.encoding.headers import number_in, result_headers
from labelstream.workers.stream.codec.encoding.producer_record import ProducerRecord
from labelstream.workers.stream.codec.encoding.results import encode_result
from labelstream.workers.stream.codec.rejection import DecodeError
from labelstream.workers.stream.dlq.dead_letters import DeadLetter, record_to_redrive
from labelstream.workers.stream.record_batch.unread import Unread, header_name
from tests.fuzz.values import read_field, read_json, read_text

NOW = datetime(2026, 11, 21, 2, 57, 42, tzinfo=UTC)
SECRET = "tr0ub4dor"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBER = st.integers(-(10**25), 10**25) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.none()
VALUE = st.recursive(
    NUMBER | TEXT | st.just(SECRET),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "text": TEXT | st.just(SECRET) | VALUE,
        "id": TEXT | st.integers(-(10**20), 10**20) | VALUE,
        "metadata": st.dictionaries(TEXT, VALUE, max_size=3) | VALUE,
        "top_k": st.integers(-1, 5) | VALUE,
        "model": st.sampled_from(["m", "other", SECRET]) | VALUE,
        "candidate_labels": st.lists(TEXT, max_size=3) | VALUE,
        "hypothesis_template": TEXT | VALUE,
        "multi_label": st.booleans() | VALUE,
        "text_pair": TEXT | VALUE,
        "x": VALUE,
        "a": VALUE | st.fixed_dictionaries({"b": VALUE}),
        "a.b": VALUE,
    },
)
NAMES = (
    st.text(max_size=5).filter(lambda name: name.encode("utf-8", "ignore").decode() == name)
    | st.binary(max_size=5).map(header_name)
    | st.sampled_from(
        [
            "labelstream.attempts",
            "labelstream.redriven",
            "labelstream.reason",
            "labelstream.value_omitted",
            "__connect.errors.topic",
            "__connect.errors.partition",
            "ce_id",
            "content-type",
        ]
    )
)
HEADERS = st.lists(
    st.tuples(NAMES, st.none() | st.binary(max_size=25) | st.integers(-9, 10**20).map(lambda number: b"%d" % number)),
    max_size=6,
)
ANSWERS = [
    Prediction(("yes", "no"), (0.75, 0.25), 3, False, "r"),
    Embedding((0.5, -1.0), 3, False, "r"),
    MaskFill(((Fill("a", 1, 0.5),), (Fill("b", 2, 0.25),)), 3, True, "r"),
]
MESSAGES = (
    FIELDS | VALUE,
    st.booleans(),
    st.sampled_from([read_json, read_field, read_text]),
    HEADERS,
    st.none() | st.binary(max_size=9),
    st.integers(-(1 << 63), (1 << 63) - 1),
)
LETTERS = (
    st.none() | st.binary(max_size=40) | st.sampled_from(list(Reason)).map(lambda why: Unread(why, "words")),
    HEADERS,
    st.none() | st.binary(max_size=9),
    st.sampled_from([0, 200, 600, 1 << 20]),
    st.booleans(),
)


def record(value: bytes | None, headers: Any = (), key: bytes | None = None, timestamp: int = 7) -> ConsumerRecord:
    return ConsumerRecord("feedback.raw", 3, None, 4711, timestamp, 0, key, value, list(headers), None, -1, 0, -1)


def drawn_messages(tree: Any, ascii_alone: bool, read: Any, headers: Any, key: bytes | None, timestamp: int) -> None:
    """Decode and encode a value, with the possible answers of all tasks."""
    value = json.dumps(tree, ensure_ascii=ascii_alone).encode("utf-8", "surrogatepass")
    of = record(value, headers, key, timestamp)
    try:
        message = read(value)
    except DecodeError as error:
        if SECRET in error.message:
            raise AssertionError(f"the reason quotes the message: {error.message}") from None
        letter(of, error)
        return
    for answer in ANSWERS:
        result = RESULT.validate_json(encode_result("p", of, message, "m", answer, NOW))
        assert result.id == message.id
        metadata = message.metadata
        expected = json.loads(metadata) if isinstance(metadata, Verbatim) else metadata
        assert repr(result.metadata) == repr(expected), "metadata is another"
    for mode in ("pass", "cloudevents"):
        for name, content in result_headers(mode, "p", of, "text-classification"):
            assert isinstance(name.encode("utf-8"), bytes)
            assert isinstance(content, bytes)


def drawn_letters(value: bytes | None, headers: Any, key: bytes | None, room: int, keyed: bool) -> None:
    """A dead letter of any record gives back the same record if the letter had room for all of it."""
    error = (
        DecodeError(value.reason, value.problem)
        if isinstance(value, Unread)
        else DecodeError(Reason.TOMBSTONE if value is None else Reason.INVALID_TEXT, "words")
    )
    letter(record(value, headers, key), error, room, keyed)


def letter(of: ConsumerRecord, error: DecodeError, room: int = 1 << 20, keyed: bool = False) -> None:
    sent = encode_dead_letter(of, error.rejection(), room, keyed)
    key, headers = sent.key, sent.headers
    assert not keyed or key is not None, "a keyed topic takes no record without a key"
    assert sent.size <= room or headers == [item for item in headers if item[0].startswith(("labelstream.", "__c"))]
    read = DeadLetter.of(record(sent.value, headers, key))
    assert (read.reason, read.topic, read.partition, read.offset) == (error.reason, of.topic, of.partition, of.offset)
    # More than 18 digits are no number of attempts.
    assert read.attempts == number_in(of.headers, "labelstream.attempts") + 1 or read.attempts == 0
    if read.omitted:
        return
    back: ProducerRecord = record_to_redrive(read, read.record, None)
    assert (back.value or b"") == (of.value or b"")
    assert back.key == of.key, "the key is another"
    kept = [item for item in back.headers if not item[0].startswith("labelstream.")]
    assert kept == [
        (name, b"" if content is None else content)
        for name, content in of.headers
        if not name.startswith(("labelstream.", "__connect.errors."))
    ]
