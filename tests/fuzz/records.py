"""Records of any shape: `fields`, conditions and enrichment of any bytes, compared with Python's json."""

import json
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

from kafka.consumer.fetcher import ConsumerRecord

from labelstream.schemas.message import TextMessage, Verbatim
from labelstream.workers.classifier import Prediction
from labelstream.workers.config_file import load_settings
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.codec.decode import decoder
from labelstream.workers.stream.codec.encoding.results import encode_enrichment, value_encoder
from labelstream.workers.stream.codec.fields.conditions import ConditionCheck
from labelstream.workers.stream.codec.json_values import parse_leniently
from labelstream.workers.stream.codec.rejection import DecodeError
from tests.fuzz.values import check_told, same, tree_of

FIELD, NOW = "x", datetime(2026, 11, 28, tzinfo=UTC)  # a short name, which mutations hit
ANSWER = Prediction(("GOOD", "BAD"), (0.75, 0.25), 3, False, "revision")
Path = tuple[str | int | None, ...]  # as JsonPath's parts
MISSING = object()


def pipeline(**more: Any) -> PipelineSettings:
    settings = {"input": "i", "output": "o", "dead_letter": "d", "model": "m", **more}
    tree = {"kafka": {"bootstrap_servers": "unused:9092"}, "models": {"m": {"source": "unused"}}}
    return load_settings({**tree, "pipelines": {"p": settings}}).pipelines["p"]


class Way:
    """A pipeline that enriches. `texts`: paths of its texts; none for Labelstream's own format."""

    def __init__(self, *texts: Path, replaces: bool = False, **more: Any) -> None:
        existing = "replace" if replaces else "dead_letter"
        settings = pipeline(output_shape="enrich", enrich_field=FIELD, on_existing=existing, **more)
        self.texts, self.replaces, self.metadata = texts, replaces, settings.fields.metadata
        self.decode, self.encode = decoder(settings), value_encoder("p", settings)


WAYS = [
    Way(("a.b",), text_field="a.b"),
    Way(("a.b",), replaces=True, text_field="a.b"),
    Way(("a.b",), ("c", None, "d"), ("c", 0), replaces=True, fields={"text": ["a.b", "c[*].d", "c[0]"]}),
    Way(("a", 1, "b.c"), fields={"text": "a[1].b.c", "metadata": ["m", "a"]}),
    Way(),
    Way(replaces=True),
]


class Test(NamedTuple):
    """A condition on the field `a.b`."""

    check: ConditionCheck
    accepts: Any  # takes whether the value exists, and the value


def _test(accepts: Any, **operator: Any) -> Test:
    return Test(ConditionCheck(pipeline(text_field="t", only_if={"field": "a.b", **operator})), accepts)


TESTS = [
    _test(lambda there, value: type(value) is str and value == "good", equals="good"),
    _test(lambda there, value: type(value) is not bool and value in (1, 2.5), **{"in": [1, 2.5]}),
    _test(lambda there, value: there and value is None, equals=None),
    _test(lambda there, value: type(value) is str and "go" in value, matches="go"),
    _test(lambda there, value: there, exists=True),
    _test(lambda there, value: not there, exists=False),
]
VALUES = [
    b'{"a":{"b":"good"},"n":1.50,"big":12345678901234567890123}',
    b'\xef\xbb\xbf{"a":{"b":"good"},"x":{"x":1}}\n',
    b'{"a.b":"good","\\u0078":[1],"y":NaN,"y":-0}',
    b'{"a":{"b":"good"},"x":1,"x":2}',
    b'{"a":{"b":"one"},"c":[{"d":"two"},{"d":null},{}]}',
    b'{"c":["one",{"d":"\\ud83d\\ude00"}],"x":"\\ud800"}',
    b'{"a":[0,{"b":{"c":"good"}}],"m":[1E400,-0,1.10,{"k":"\\u0000"}]}',
    b'{"a":[0,{"b.c":"good"},"\xff"],"m":"x"}',
    b'{"text":"good","id":7,"x":null,"metadata":{"n":1.0}}',
    b'{"text":" ","x":1}',
    b'{"a":{"b":" "},"x":1 }',
    b'["good"]',
    b"{}",
    b'{"a":{"b":2.50}}',
    b'{"a":{"b":true}}',
    b'{"a":{"b":"good"},"z":' + b"[" * 300 + b"]" * 300 + b"}",
]
ENRICH_SEEDS = [bytes([way]) + value for way in range(len(WAYS)) for value in VALUES]
CONDITION_SEEDS = [bytes([test]) + value for test in range(len(TESTS)) for value in VALUES]


def enriched(data: bytes) -> None:
    """The record comes back with the answer in it and no other byte changed, or has a reason."""
    way, value = WAYS[data[0] % len(WAYS) if data else 0], data[1:]
    tree = tree_of(value)
    try:
        message = way.decode(value, b"key", [])
    except DecodeError as error:
        check_told(error)
        _had_a_cause(way, tree, error)
        return
    with suppress(ValueError):
        parsed = parse_leniently(value.removeprefix(BOM_UTF8))
        assert way.decode(value, b"key", [], parsed) == message, "another message with a parsed value"
    record = ConsumerRecord("i", 0, None, 7, 7, 0, b"key", value, [], None, 3, len(value), -1)
    part = encode_enrichment("p", record, "m", ANSWER, NOW)
    out = way.encode(record, message, "m", ANSWER, NOW)
    head, found, tail = out.partition(part)
    assert found
    if head.endswith(b',"%b":' % FIELD.encode()) and head[: -len(FIELD) - 4] + tail == value:
        assert tail.strip() == b"}", "not the last member"
    else:
        assert way.replaces
        assert value.startswith(head)
        assert value.endswith(tail)
    if type(tree) is dict:
        assert same(list(tree_of(out).items()), list((tree | {FIELD: json.loads(part)}).items()))
        _agrees(way, tree, message)


def condition(data: bytes) -> None:
    """A condition holds as for the value that Python's json reads."""
    test, value = TESTS[data[0] % len(TESTS) if data else 0], data[1:]
    tree = tree_of(value)
    try:
        holds = test.check.takes_value(value)
    except DecodeError as error:
        check_told(error)
        return
    found = next(_find(tree, ("a.b",)))
    if tree is not None:
        assert holds == test.accepts(found is not MISSING, found)


def _agrees(way: Way, tree: Any, message: TextMessage) -> None:
    """Text and metadata are those at the paths in `tree`."""
    if not way.texts:
        assert message.text == tree["text"]
        return
    found = [one for path in way.texts for one in _find(tree, path)]
    assert message.text == " ".join(one for one in found if one is not None and one is not MISSING)
    if way.metadata:
        assert type(message.metadata) is Verbatim
        assert same(json.loads(message.metadata), {name: tree[name] for name in way.metadata if name in tree})


def _had_a_cause(way: Way, tree: Any, error: DecodeError) -> None:
    """Raises AssertionError if a good record was refused."""
    if not way.texts or way.metadata or type(tree) is not dict or (FIELD in tree and not way.replaces):
        return
    found = [one for path in way.texts for one in _find(tree, path)]
    texts = [one for one in found if type(one) is str]
    is_read = len(texts) == len(found) and not any("\ud800" <= letter <= "\udfff" for text in texts for letter in text)
    assert not (is_read and " ".join(texts).strip()), f"refused without a cause: {error}"


def _find(tree: Any, path: Path) -> Iterator[Any]:
    """The values at `path`; MISSING for what is not there."""
    if not path:
        yield tree
        return
    part, rest = path[0], path[1:]
    if type(part) is str:
        yield from _find(next(_at(tree, part), MISSING), rest)
    elif type(tree) is not list:
        yield MISSING
    elif part is None:
        for item in tree:
            yield from _find(item, rest)
    else:
        yield from _find(tree[part] if type(part) is int and part < len(tree) else MISSING, rest)


def _at(tree: Any, name: str) -> Iterator[Any]:
    """The values at a dotted name, the one that counts first: the whole name, then the shortest first key."""
    if type(tree) is not dict:
        return
    if name in tree:
        yield tree[name]
    for place, letter in enumerate(name):
        if letter == "." and name[:place] in tree:
            yield from _at(tree[name[:place]], name[place + 1 :])
