"""Dead letters out and back: what their headers say, and what is sent again."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.schemas.dead_letter import Reason, Stage
from labelstream.workers.stream.codec.encoding.dead_letters import encode_dead_letter, omission
from labelstream.workers.stream.codec.encoding.headers import number_in, result_headers
from labelstream.workers.stream.codec.rejection import Rejection
from labelstream.workers.stream.dlq.dead_letters import DeadLetter, Selection, record_to_redrive
from labelstream.workers.stream.record_batch.unread import HeadersLeftOut, Unread, header_name

REJECTION = Rejection(Reason.INFERENCE_FAILED, Stage.CLASSIFY, "ValueError", "no", attempts=2)
NAMES = st.one_of(
    st.text(max_size=5),
    st.binary(max_size=5).map(header_name),
    st.sampled_from(
        [
            "labelstream.attempts",
            "labelstream.redriven",
            "labelstream.reason",
            "labelstream.value_omitted",
            "__connect.errors.topic",
            "__connect.errors.partition",
            "__connect.errors.offset",
        ]
    ),
)
VALUES = st.one_of(st.none(), st.binary(max_size=25), st.integers(-10, 10**20).map(lambda n: str(n).encode()))
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=6)


def record(value: bytes | None = b"{", headers: Any = (), key: bytes | None = b"k", **more: Any) -> Any:
    return SimpleNamespace(
        **{
            "topic": "in",
            "partition": 1,
            "offset": 7,
            "timestamp": 1_000,
            "value": value,
            "key": key,
            "headers": list(headers),
            **more,
        }
    )


def buried(found: Any, max_bytes: int = 1 << 20) -> Any:
    """The dead letter of `found`, as it is read back."""
    letter = encode_dead_letter(found, REJECTION, max_bytes)
    return record(letter.value, letter.headers, letter.key, topic="dlq", partition=0, offset=3)


@given(HEADERS, st.one_of(st.none(), st.binary(max_size=20)), st.sampled_from([0, 1 << 20]))
def test_whatever_the_headers_hold_a_letter_is_made_and_read(headers: Any, value: bytes | None, fits: int) -> None:
    letter = DeadLetter.of(buried(record(value, headers), fits))
    names = [name for name, _ in letter.record.headers]
    ours = [name for name in names if name.startswith(("labelstream.", "__connect.errors."))]
    assert len(set(ours)) == len(ours)
    assert (letter.topic, letter.partition, letter.offset, letter.reason) == ("in", 1, 7, "inference_failed")
    assert letter.attempts == number_in(headers, "labelstream.attempts") + 2 or letter.attempts == 0
    assert letter.redriven == number_in(headers, "labelstream.redriven")
    foreign = DeadLetter.of(record(value, headers))
    assert foreign.attempts >= 0
    assert foreign.partition >= -1


def test_a_key_of_ours_does_not_come_back() -> None:
    for max_bytes, key in ((1 << 20, b"in-1-7"), (0, b"in-1-7")):
        found = encode_dead_letter(record(key=None), REJECTION, max_bytes, keyed=True)
        letter = DeadLetter.of(record(found.value, found.headers, found.key, topic="dlq"))
        assert (found.key, letter.key_made) == (key, True)
        original = record(key=None) if letter.omitted else letter.record
        assert record_to_redrive(letter, original, None).key is None
    theirs = encode_dead_letter(record(), REJECTION, 1 << 20, keyed=True)
    assert not DeadLetter.of(record(theirs.value, theirs.headers, theirs.key)).key_made
    assert theirs.key == b"k"


@pytest.mark.parametrize("max_bytes", [0, 1 << 20])
def test_unreadable_record_fits_compacted_dead_letter_topic(max_bytes: int) -> None:
    unread = record(Unread(Reason.INVALID_RECORD, "its lengths lie"), key=None)
    found = encode_dead_letter(unread, REJECTION, max_bytes, keyed=True)
    assert (found.key, found.value) == (b"in-1-7", b"")
    letter = DeadLetter.of(record(found.value, found.headers, found.key, topic="dlq"))
    assert (letter.omitted, letter.key_made) == ("unread", True)


@given(st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=5))), st.binary(min_size=1), st.integers(1, 4))
def test_attempts_and_redrives_add_up(own: Any, value: bytes, rounds: int) -> None:
    current = record(value, own)
    for round_ in range(1, rounds + 1):
        letter = DeadLetter.of(buried(current))
        assert (letter.attempts, letter.redriven) == (2 * round_, round_ - 1)
        sent = record_to_redrive(letter, letter.record, 1)
        assert (sent.value, sent.key, sent.partition) == (value, b"k", 1)
        assert sent.headers == [
            *own,
            ("labelstream.attempts", b"%d" % (2 * round_)),
            ("labelstream.redriven", b"%d" % round_),
        ]
        current = record(sent.value, sent.headers)
    assert result_headers("pass", "p", current, "t") == own


def test_results_keep_the_callers_connect_headers() -> None:
    headers = [("__connect.errors.topic", b"theirs"), ("labelstream.attempts", b"2"), ("own", None)]
    kept = result_headers("pass", "p", record(headers=headers), "t")
    assert kept == [("__connect.errors.topic", b"theirs"), ("own", b"")]


@pytest.mark.parametrize("reason", [Reason.TOMBSTONE, Reason.RESULT_REFUSED, Reason.CRASHES_WORKER])
@pytest.mark.parametrize("max_bytes", [0, 1 << 20])
def test_a_tombstone_goes_back_as_one(reason: Reason, max_bytes: int) -> None:
    letter = encode_dead_letter(record(None), REJECTION._replace(reason=reason), max_bytes)
    found = DeadLetter.of(record(letter.value, letter.headers))
    original = record(None) if found.omitted else found.record
    assert record_to_redrive(found, original, None).value is None
    empty = DeadLetter.of(buried(record(b"")))
    assert record_to_redrive(empty, empty.record, None).value == b""


def test_a_value_that_was_left_out() -> None:
    letter = DeadLetter.of(buried(record(b"long" * 1_000), 1_000))
    assert (letter.record.value, letter.omitted) == (b"", omission(b"long" * 1_000))
    claimed = DeadLetter.of(record(b"there", [("labelstream.value_omitted", b"bytes=3;sha256=0")]))
    assert claimed.omitted == ""


@pytest.mark.parametrize("fits", [0, 1 << 20])
def test_a_value_that_was_never_read(fits: int) -> None:
    lost = record(Unread(Reason.TOO_LARGE, "why"), key=None)
    letter = DeadLetter.of(buried(lost, fits))
    assert (letter.record.value, letter.omitted) == (b"", "unread")
    assert type(letter.record.value) is bytes
    assert DeadLetter.of(lost).omitted == "unread"  # the letter itself cannot be read


@given(st.lists(st.tuples(st.binary(max_size=5), st.binary(max_size=5)), min_size=1))
def test_header_names_come_out_with_the_same_bytes(headers: list[tuple[bytes, bytes]]) -> None:
    found = record(headers=[(header_name(name), value) for name, value in headers])
    sent = encode_dead_letter(found, REJECTION, 1 << 20).headers, result_headers("cloudevents", "p", found, "t")
    for kept in sent:
        assert [(name.encode("utf-8"), value) for name, value in kept[: len(headers)]] == headers


def test_numbers_in_headers() -> None:
    cases = {b"7": 7, b"007": 7, b"-1": 0, b"+1": 0, b" 1": 0, b"1_0": 0, b"": 0, b"9" * 5_000: 0, "²".encode(): 0}
    assert {value: number_in([("n", b"5"), ("n", value)], "n") for value in cases} == cases
    assert number_in([("n", None)], "n") == number_in([], "n") == 0


def test_selections() -> None:
    letter = DeadLetter.of(buried(record()))
    wanted = [
        Selection(),
        Selection(frozenset({"empty_text", "inference_failed"})),
        Selection(topic="in"),
        Selection(since_ms=1_000, until_ms=1_001),
        Selection(places=frozenset({(0, 3)})),
    ]
    unwanted = [
        Selection(frozenset({"empty_text"})),
        Selection(topic="dlq"),
        Selection(since_ms=1_001),
        Selection(until_ms=1_000),
        Selection(places=frozenset({(3, 0)})),
        Selection(topic="in", since_ms=1_001),
    ]
    assert all(selection.wants(letter) for selection in wanted)
    assert not any(selection.wants(letter) for selection in unwanted)


@pytest.mark.parametrize(("max_bytes", "value"), [(1 << 20, b"there"), (1_200, b""), (0, b"")])
def test_headers_that_were_never_read_are_told_and_looked_up(max_bytes: int, value: bytes) -> None:
    whole = record(b"there" if value else b"there" * 1_000)
    whole.headers = HeadersLeftOut(300_000, 600_000)
    found = buried(whole, max_bytes)
    assert dict(found.headers)["labelstream.headers_omitted"] == b"count=300000;bytes=600000"
    assert found.value == (value if max_bytes else b"")
    assert DeadLetter.of(found).omitted == omission(whole.value)


def test_headers_that_do_not_fit_are_told() -> None:
    found = buried(record(b"v", [("name", b"content"), ("none", None)]), 0)
    assert dict(found.headers)["labelstream.headers_omitted"] == b"count=2;bytes=15"
    assert "labelstream.headers_omitted" not in dict(buried(record(b"v", [("name", b"content")])).headers)
    assert "labelstream.headers_omitted" not in dict(buried(record(b"v"), 0).headers)
