"""Rows for records with any content, and values with line breaks."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.deploy.cli.common.console import escape
from labelstream.deploy.cli.topics.record_view import as_json_line, as_row, columns_of

RESULT: dict[str, Any] = {
    "label": "GOOD",
    "score": 0.5,
    "id": "a",
    "tokens": 9,
    "truncated": False,
    "model": "m",
    "source": {"topic": "in", "partition": 2, "offset": 40},
}
ODD = st.one_of(
    st.sampled_from([10**400, "\x1b[8m", "a\nb"]),
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.recursive(st.just("a\nb"), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=3),
)
SHARED = {name: ODD for name in RESULT if name not in ("label", "score", "source")} | {
    "source": st.fixed_dictionaries({}, optional=dict.fromkeys(RESULT["source"], ODD)),
}
FILLS = st.lists(st.fixed_dictionaries({"token": ODD, "score": ODD}) | ODD, min_size=1, max_size=3)
RESULT_LIKE = st.one_of(
    st.fixed_dictionaries({**SHARED, "label": ODD, "score": ODD}),
    st.fixed_dictionaries({**SHARED, "masks": st.lists(FILLS | ODD, max_size=3) | ODD}),
    st.fixed_dictionaries({**SHARED, "embedding": st.lists(ODD, max_size=3) | ODD}),
    st.fixed_dictionaries({}, optional={**SHARED, "source": ODD, "label": ODD, "score": ODD, "masks": ODD}),
)


def row(**fields: Any) -> tuple[str, ...]:
    return as_row(record(json.dumps(RESULT | fields).encode()))


@given(RESULT_LIKE)
def test_any_result_is_shown_on_one_line(tree: dict[str, Any]) -> None:
    shown = as_row(record(json.dumps(tree).encode()))
    assert all(cell == escape(cell) for cell in shown)
    columns_of(shown).encode()


def test_label_of_an_abstained_result_is_marked() -> None:
    assert row(labels=[], abstained=True)[:2] == ("abstained: GOOD", "0.5000")
    for abstained in (False, None, "yes", 1):
        assert row(abstained=abstained)[0] == "GOOD"


def test_enriched_record_shows_its_last_answer() -> None:
    first = RESULT | {"event_id": "p/in/2/40"}
    last = first | {"label": "BAD", "source": {"topic": "mid", "partition": 0, "offset": 1}}
    own = {"source": {"host": "db-3"}, "m": {"label": "x"}}
    shown = as_row(record(json.dumps(own | {"one": first, "two": last}).encode()))
    assert (shown[0], shown[-1]) == ("BAD", "mid:0:1")
    assert as_row(record(json.dumps(own).encode()))[0] == "-"


@pytest.mark.parametrize("score", [10**400, -(10**400), "0.5", [0.5], {}])
def test_odd_score_is_a_question_mark(score: Any) -> None:
    assert row(score=score)[:2] == ("GOOD", "?")
    shared = {name: value for name, value in RESULT.items() if name not in ("label", "score")}
    tree = {**shared, "masks": [[{"token": "yes", "token_id": 7, "score": score}]]}
    assert as_row(record(json.dumps(tree).encode()))[:2] == ("yes", "?")


def test_no_field_controls_the_terminal() -> None:
    hidden = "\x1b[8m"
    shown = row(label=hidden, id=hidden, tokens=hidden, model=hidden, source={"topic": hidden, "offset": "a\nb"})
    assert shown == ("\\x1b[8m", "0.5000", "\\x1b[8m", "\\x1b[8m", "\\x1b[8m", "\\x1b[8m:?:a\\nb")
    assert row(label=["x"], tokens={"a": 1})[0::3] == ("?", "?")


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (b'{"a":{\n"n":1.10,"b":12345678901234567890.123}}', b'{"a":{ "n":1.10,"b":12345678901234567890.123}}'),
        (b'{"k":1,\r\n"k":2}\n', b'{"k":1,  "k":2} '),
        (b'{"a":\n%s}' % (b"9" * 5_000), b'{"a": %s}' % (b"9" * 5_000)),
        (b"[" * 20_000 + b"\n" + b"]" * 20_000, b"[" * 20_000 + b" " + b"]" * 20_000),
        (b'\xef\xbb\xbf{\n"a":"\\n\\"\xc3\xa4"}', b'\xef\xbb\xbf{ "a":"\\n\\"\xc3\xa4"}'),
        (b'{"a":"b\nc"}', b'"{\\"a\\":\\"b\\nc\\"}"'),
        (b'{"a":\n1', b'"{\\"a\\":\\n1"'),
    ],
    ids=lambda value: value[:20],
)
def test_line_breaks_alone_are_replaced(value: bytes, line: bytes) -> None:
    assert as_json_line(record(value)) == line


def test_unclosed_string_is_read_once() -> None:
    value = b'\n"' + b'\\"' * 300_000
    assert json.loads(as_json_line(record(value))) == value.decode()


def test_result_with_long_integer_is_a_row() -> None:
    value = json.dumps(RESULT).replace('"tokens"', '"metadata": {"n": %s}, "tokens"' % ("7" * 5_000)).encode()
    assert as_row(record(value))[:2] == ("GOOD", "0.5000")


def record(value: bytes | None, headers: Any = (), key: bytes | None = None) -> Any:
    return SimpleNamespace(value=value, headers=headers, key=key, topic="t", partition=1, offset=7)


class TestRecords:
    RESULT: dict[str, Any] = {  # noqa: RUF012
        "label": "GOOD",
        "score": 0.91234,
        "id": "a\x1b[2J",
        "tokens": 9,
        "truncated": True,
        "model": "m",
        "source": {"topic": "in", "partition": 2, "offset": 40},
    }

    def test_result_is_a_row(self) -> None:
        row = as_row(record(json.dumps(self.RESULT).encode()))
        assert row == ("GOOD", "0.9123", "a\\x1b[2J", "9+", "m", "in:2:40")

    def test_results_of_other_tasks_are_rows(self) -> None:
        shared = {name: self.RESULT[name] for name in ("tokens", "truncated", "model", "source")}
        fills = [
            [{"token": token, "token_id": 7, "score": 0.5}, {"token": "no", "token_id": 8, "score": 0.25}]
            for token in ("yes", "##\x1b")
        ]
        row = as_row(record(json.dumps({**shared, "masks": fills}).encode()))
        assert row[:3] == ("yes, ##\\x1b", "0.5000", "-")
        row = as_row(record(json.dumps({**shared, "embedding": [0.5, 1.5]}).encode()))
        assert row[:3] == ("(2 numbers)", "-", "-")
        for broken in ({"masks": [3]}, {"masks": [[]]}, {"masks": 3}, {"embedding": 3}, {"masks": [[3]]}):
            assert as_row(record(json.dumps({**shared, **broken}).encode()))[0] == "-"

    def test_dead_letter_is_a_row_with_reason(self) -> None:
        headers = [
            ("labelstream.reason", b"invalid_json"),
            ("labelstream.model", b""),
            ("__connect.errors.topic", b"in"),
            ("__connect.errors.partition", b"0"),
            ("__connect.errors.offset", b"3"),
            ("__connect.errors.exception.message", b"cut\x07 off"),
        ]
        row = as_row(record(b"\xff{", headers))
        assert row == ("! invalid_json", "-", "-", "-", "-", "in:0:3 cut\\x07 off")

    @given(st.one_of(st.none(), st.binary()), st.lists(st.tuples(st.text(), st.one_of(st.none(), st.binary()))))
    def test_any_record_is_shown_on_one_line(self, value: bytes | None, headers: Any) -> None:
        for found in (headers, [*headers, ("labelstream.reason", value)]):
            shown = columns_of(as_row(record(value, found, value)))
            assert shown.isprintable() or shown == escape(shown)
            assert "\n" not in shown
            shown.encode()
        assert b"\n" not in as_json_line(record(value))

    def test_json_lines(self) -> None:
        assert as_json_line(record(b'{"a":  1}')) == b'{"a":  1}'
        assert as_json_line(record(b"\xff")) == b"\xff"
        assert json.loads(as_json_line(record(b'{"a":\n1}'))) == {"a": 1}
        assert json.loads(as_json_line(record(b"not\njson\xff"))) == "not\njson\\xff"
        assert as_json_line(record(None)) == b""


def test_enriched_record_is_a_row_of_its_last_enrichment() -> None:
    first, last = ({"event_id": "p/in/0/1", **RESULT, "label": label} for label in ("FIRST", "LAST"))
    value = json.dumps({"source": "web", "event": {"source": {}}, "one": first, "two": last, "label": "own"}).encode()
    assert as_row(record(value))[0] == "LAST"
    assert as_row(record(b'{"source": {}, "one": {"event_id": 1, "source": {}}}'))[0] == "-"


def test_result_of_several_texts_is_one_row() -> None:
    shared = {name: value for name, value in RESULT.items() if name not in ("label", "score", "tokens", "truncated")}
    answer = {"label": "GOOD", "score": 0.5, "tokens": 3, "truncated": False}
    unsure = answer | {"label": "BAD", "abstained": True, "truncated": True}
    answers = [answer, {"error": {"reason": "empty_text", "message": "m"}}, answer, unsure]
    shown = as_row(record(json.dumps(shared | {"answers": answers}).encode()))
    assert (shown[:2], shown[3]) == (("GOOD x2, ! empty_text, abstained: BAD", "-"), "9+")
    shown = as_row(record(json.dumps(shared | {"answers": [{"embedding": [0.5]}] * 2}).encode()))
    assert (shown[0], shown[3]) == ("(1 numbers) x2", "?")
    many = [answer | {"label": f"L{number}"} for number in range(9)]
    assert as_row(record(json.dumps({"e": shared | {"event_id": "p", "answers": many}}).encode()))[0] == (
        "L0, L1, L2, L3, L4, L5, L6, L7, ..."
    )


@given(st.lists(RESULT_LIKE | ODD | st.fixed_dictionaries({"error": ODD, "tokens": st.just(10**4_298)}), max_size=120))
def test_any_list_of_answers_is_shown_on_one_line(answers: list[Any]) -> None:
    shown = as_row(record(json.dumps({"source": {}, "answers": answers}).encode()))
    assert all(cell == escape(cell) for cell in shown)
