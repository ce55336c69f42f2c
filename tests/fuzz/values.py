"""Decoding of any bytes, compared with Python's json, which must agree where both can read."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from labelstream.schemas.message import TextMessage, Verbatim
from labelstream.workers.config_file import load_settings
from labelstream.workers.stream.codec.decode import decoder
from labelstream.workers.stream.codec.rejection import DecodeError
from labelstream.workers.stream.codec.text_list import TextList

PATH = "a.b"
JSON_SEEDS = [
    b'{"text":"good","id":7,"metadata":{"n":1.0,"m":[1,{"k":null}]},"top_k":3,"model":"m"}',
    b'{"text":"a","candidate_labels":["x","y"],"hypothesis_template":"This is {}.","multi_label":true}',
    b'{"text":null}',
    b'{"text":" "}',
    b'[{"text":"a"}]',
    b'"{\\"text\\":\\"a\\"}"',
    b'\xef\xbb\xbf{"text":"a"}',
    b'{"text":"a","x":NaN,"x":12345678901234567890,"metadata":{"n":1e999}}',
    b'{"text":"\\ud83d\\ude00\\ud800"}',
    b'{"text":"a","metadata":{"metadata":{}},"met\\u0061data":{}}',
    b"\0\0\0\0\7{}",
    b"\xff\xfea\0",
    b"",
    b"null",
    b"-0",
    b'{"text":"a","x":' + b"[" * 60 + b"]" * 60 + b"}",
    b'{"text":"a","x":"\xff"}',
]
FIELD_SEEDS = [
    b'{"a":{"b":"good"},"c":1}',
    b'{"a.b":"good"}',
    b'{"a":{"b":null}}',
    b'{"a":[{"b":"x"}]}',
    b'{"a":"{\\"b\\":1}"}',
    b'{"x":NaN,"x":1,"a":{"y":1e999,"b":"good"}}',
    b'{"a":{"b":"x","b":"y"}}',
    b'{"a":{"b":"\\ud800"}}',
    *JSON_SEEDS,
]
TEXTS_SEEDS = [
    b'{"l":[{"b":"one"},{"b":" "},{"b":5},{},null,3,{"b":"two"}],"id":7,"m":1.50}',
    b'{"l":[{"b":"one"},{"b":"\\ud800"},{"b":"two","x":NaN,"x":1}]}',
    b'{"l":[{"b":"one","b":"two"}]}',
    b'{"l":{"b":"one"}}',
    b'{"l":[' + b"[]," * 2_000 + b'{"b":"x"}]}',
    *FIELD_SEEDS,
]
TEXT_SEEDS = [
    b"good",
    "gr\u00fc\u00dfe \U0001f600".encode(),
    b" \t",
    b"\0\0\0\0\7good",
    b"\xef\xbb\xbfgood",
    b"\xffgood",
]


def reader(**more: Any) -> Callable[[bytes], TextMessage]:
    """The decoder of a pipeline with these settings."""
    tree: dict[str, Any] = {
        "kafka": {"bootstrap_servers": "unused:9092"},
        "models": {"m": {"source": "unused"}},
        "pipelines": {"p": {"input": "i", "output": "o", "dead_letter": "d", "model": "m", **more}},
    }
    return decoder(load_settings(tree).pipelines["p"])


read_texts = reader(fields={"text": "l[*].b", "id": "id", "metadata": ["m"]})
read_json, read_field, read_text = reader(), reader(text_field=PATH), reader(format="text")


def decode_json(value: bytes) -> None:
    """The decoded message equals the JSON."""
    tree = tree_of(value)
    try:
        message = read_json(value)
    except DecodeError as error:
        check_told(error)
        if type(tree) is dict and tree.keys() <= {"text", "x"}:
            _was_no_text(tree.get("text"), error)
        return
    _is_text(message.text)
    if tree is None:  # beyond what Python's reads: depth, long numbers, bytes that are no text, equal keys
        return
    assert message.text == tree["text"]
    assert (message.id, message.top_k) == (tree.get("id"), tree.get("top_k"))
    if isinstance(message.metadata, Verbatim):
        assert same(json.loads(message.metadata), tree["metadata"])
        assert str(message.metadata).encode() in value, "metadata is not as it came"


def decode_field(value: bytes) -> None:
    """The text is the one at the path."""
    tree = tree_of(value)
    try:
        message = read_field(value)
    except DecodeError as error:
        check_told(error)
        _was_no_text(_at(tree), error)
        return
    _is_text(message.text)
    assert tree is None or message.text == _at(tree)


def decode_texts(value: bytes) -> None:
    """Each item of the list is a text in its place, good or with its reason."""
    tree = tree_of(value)
    try:
        message = read_texts(value)
    except DecodeError as error:
        check_told(error)
        return
    assert isinstance(message, TextList)
    for text in message.texts:
        text.text.encode()
        assert bool(text.text.strip()) or text.rejection is not None
    if tree is not None and type(tree.get("l")) is list:
        items = [item.get("b") if type(item) is dict else None for item in tree["l"]]
        assert [text.text for text in message.texts] == [_readable(item) for item in items]


def decode_text(value: bytes) -> None:
    """All of the value is the text."""
    try:
        message = read_text(value)
    except DecodeError as error:
        check_told(error)
        return
    assert message.text.encode() == value.removeprefix(b"\xef\xbb\xbf")


def check_told(error: DecodeError) -> None:
    """A refusal has a reason, and a text that fits a header and a person can read."""
    assert error.reason
    assert 0 < len(error.message) < 4_000
    error.message.encode()


def _readable(found: Any) -> str:
    """Empty for other types than strings, and for lone surrogates."""
    return found if type(found) is str and found.encode("utf-8", "ignore").decode() == found else ""


def _is_text(text: str) -> None:
    text.encode()
    assert text.strip()


def _was_no_text(found: Any, error: DecodeError) -> None:
    """Raises AssertionError if a good text was refused."""
    if type(found) is not str or not found.strip():
        return
    with suppress(UnicodeEncodeError):
        found.encode()
        raise AssertionError(f"refused without a cause: {error}")


def _at(tree: Any) -> Any:
    if type(tree) is not dict:
        return None
    if PATH in tree:
        return tree[PATH]
    above = tree.get(PATH.partition(".")[0])
    return above.get(PATH.partition(".")[2]) if type(above) is dict else None


def same(one: Any, other: Any) -> bool:
    return repr(one) == repr(other)  # NaN is not itself


def tree_of(value: bytes) -> Any:
    """As Python's json reads it; None where it does not, or where keys are equal."""
    try:
        return json.loads(
            value.removeprefix(b"\xef\xbb\xbf").decode(),
            object_pairs_hook=_without_equal_keys,
            parse_constant=_no_number,
        )
    except (ValueError, RecursionError):
        return None


def _without_equal_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) != len(pairs):
        raise ValueError("equal keys")
    return tree


def _no_number(name: str) -> Any:
    raise ValueError(name)
