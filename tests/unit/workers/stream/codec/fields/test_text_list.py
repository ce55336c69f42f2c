"""Records whose text is a list: each text in its place, good or not."""

import json
from itertools import zip_longest
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.schemas.dead_letter import Reason
from labelstream.workers.stream.codec.decode import decoder
from labelstream.workers.stream.codec.rejection import DecodeError
from labelstream.workers.stream.codec.text_list import TextList
from tests.support.decoding import UNREAD, pipeline

OTLP = "resourceLogs[*].scopeLogs[*].logRecords[*].body.stringValue"
VALUES = st.none() | st.booleans() | st.integers(-9, 9) | st.text("xy \u00e9", max_size=3) | st.just([]) | st.just({})


def read(value: Any, text: str = "l[*].b", limits: Any = None, **fields: Any) -> TextList:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    decode = decoder(pipeline(fields={"text": text, **fields}, limits=limits or {}))
    message = decode(raw, b"key-1", [])
    assert isinstance(message, TextList)
    return message


def reasons(message: TextList) -> list[str | None]:
    return [text.rejection and text.rejection.reason.value for text in message.texts]


def kind_of(value: Any) -> str | None:
    """The reason of a text; None of a good one."""
    if isinstance(value, str):
        return None if value.strip() else "empty_text"
    return "empty_text" if value is None else "invalid_message"


def test_each_text_has_its_place() -> None:
    message = read({"id": 7, "l": [{"b": "one"}, {"b": " "}, {"b": 5}, {}, None, 3, {"b": "two"}]}, id="id")
    assert [text.text for text in message.texts] == ["one", " ", "", "", "", "", "two"]
    empty, wrong = "empty_text", "invalid_message"
    assert reasons(message) == [None, empty, wrong, empty, empty, wrong, None]
    assert (message.id, message.text) == (7, "one two")
    said = [text.rejection.message for text in message.texts if text.rejection is not None]
    assert said[1] == "the text must be a string, not an integer"
    assert said[4] == "l[5] must be an object, not an integer"


def test_nested_lists_are_one_list() -> None:
    logs = [[["a", "b"], []], [], [["c"]]]
    batch = {
        "resourceLogs": [
            {"scopeLogs": [{"logRecords": [{"body": {"stringValue": one}} for one in scope]} for scope in scopes]}
            for scopes in logs
        ]
    }
    batch["resourceLogs"] += [{}, {"scopeLogs": None}]  # lists without items, as protobuf's JSON has them
    assert [text.text for text in read(batch, OTLP).texts] == ["a", "b", "c"]


@given(st.lists(st.lists(VALUES, max_size=4), max_size=4), st.booleans())
def test_number_and_order_are_those_of_the_texts(groups: list[list[Any]], sparse: bool) -> None:
    tree = {"g": [{"l": [{"b": value} for value in group]} for group in groups]}
    value = (b'{"x":NaN,"x":1,' if sparse else b"{") + json.dumps(tree).encode()[1:]
    flat = [one for group in groups for one in group]
    if all(kind_of(one) for one in flat):
        with pytest.raises(DecodeError) as caught:
            read(value, "g[*].l[*].b")
        reason = next((kind for one in flat if (kind := kind_of(one)) != "empty_text"), "empty_text")
        assert caught.value.reason == reason
        return
    message = read(value, "g[*].l[*].b")
    assert reasons(message) == [kind_of(one) for one in flat]
    assert [text.text for text in message.texts] == [one if isinstance(one, str) else "" for one in flat]


@pytest.mark.parametrize("unread", UNREAD, ids=lambda value: value[:20])
def test_what_is_not_on_the_path_is_not_judged(unread: bytes) -> None:
    message = read(b'{"x":%s,"l":[{"b":"one"},{"b":"two","z":%s}],"x":1}' % (unread, unread))
    assert [text.text for text in message.texts] == ["one", "two"]


def test_text_that_is_no_text_fails_alone() -> None:
    message = read(b'{"l":[{"b":"one"},{"b":"\\ud800"},{"b":"two"},{"b":NaN}]}')
    assert reasons(message) == [None, "invalid_text", None, "invalid_message"]


@pytest.mark.parametrize(
    ("value", "reason", "said"),
    [
        (b"{}", Reason.EMPTY_TEXT, "fields.text: no text at l[*].b"),
        (b'{"l":[]}', Reason.EMPTY_TEXT, "fields.text: no text at l[*].b"),
        (b'{"l":null}', Reason.EMPTY_TEXT, "fields.text: no text at l[*].b"),
        (b'{"l":[{"b":" "},{}]}', Reason.EMPTY_TEXT, "text 1 of 2, which all fail: the text is missing, empty or"),
        (b'{"l":[{"b":" "},{"b":1}]}', Reason.INVALID_MESSAGE, "text 2 of 2, which all fail: the text must be"),
        (b'{"l":{"b":"x"}}', Reason.INVALID_MESSAGE, "fields.text l[*].b: l must be a list, not an object"),
        (b'{"l":"x"}', Reason.INVALID_MESSAGE, "fields.text l[*].b: l must be a list, not a string"),
        (b'{"l":[{"b":"x"},{"b":"y","b":"z"}]}', Reason.INVALID_MESSAGE, "duplicate key b on the path of fields"),
        (b'{"l":[{"b":"x"},{"b":"y"},{"b":"z"}]}', Reason.TOO_LARGE, "l[*].b: more than limits.max_texts (2) values"),
        (b'{"l":[', Reason.INVALID_JSON, "EOF"),
    ],
)
def test_record_without_any_good_text_is_refused(value: bytes, reason: Reason, said: str) -> None:
    with pytest.raises(DecodeError) as caught:
        read(value, limits={"max_texts": 2})
    assert caught.value.reason is reason
    assert said in caught.value.message


def test_list_that_is_no_list_fails_the_record() -> None:
    """The number of its texts is not known, so that the others would have no certain place."""
    with pytest.raises(DecodeError, match=r"g\[1\].l must be a list, not a string"):
        read({"g": [{"l": ["a"]}, {"l": "b"}, {"l": ["c"]}]}, "g[*].l[*]")


def test_one_pair_holds_for_all_texts() -> None:
    message = read({"p": "pair", "l": [{"b": "one"}, {"b": "two"}]}, text_pair="p")
    assert [message.pair_of(text) for text in message.texts] == ["pair", "pair"]


def test_each_text_has_the_pair_of_its_place() -> None:
    message = read({"l": ["a", "b", "c"], "p": ["x", None, 5]}, "l[*]", text_pair="p[*]")
    assert [message.pair_of(text) for text in message.texts] == ["x", None, None]
    assert reasons(message) == [None, None, "invalid_message"]
    assert [text.text for text in message.texts] == ["a", "b", "c"]


@given(st.lists(st.integers(0, 2), max_size=3), st.lists(st.integers(0, 2), max_size=3))
def test_pairs_of_lists_that_differ_are_refused(texts: list[int], pairs: list[int]) -> None:
    tree = {"t": [["a"] * count for count in texts], "p": [["b"] * count for count in pairs]}
    same = all(one == other for one, other in zip_longest(texts, pairs, fillvalue=0))
    if same and sum(texts):
        assert len(read(tree, "t[*][*]", text_pair="p[*][*]").texts) == sum(texts)
        return
    with pytest.raises(DecodeError, match="differs in length" if not same else "no text"):
        read(tree, "t[*][*]", text_pair="p[*][*]")


def test_labels_count_with_the_characters_of_all_texts() -> None:
    fields = {"candidate_labels": "labels"}
    value = {"l": [{"b": "x" * 6}, {"b": "y" * 6}], "labels": ["m", "n"]}
    assert read(value, limits={"max_label_text_chars": 26}, **fields).candidate_labels == ["m", "n"]
    with pytest.raises(DecodeError, match="max_label_text_chars"):
        read(value, limits={"max_label_text_chars": 25}, **fields)
