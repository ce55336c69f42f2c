"""Records of a shape of their own for the enriching pipeline, with the bytes that must come back."""

import json
import random
from typing import NamedTuple

from tests.chaos.load import Answered, Input, Maker
from tests.chaos.system import DROPPED, FIELD, LEVELS, RECORDS, ROUTED
from tests.chaos.verify import Expected, Headers

OUTPUT, URGENT = RECORDS.outputs
NAME = FIELD.encode()
# Members that the pipeline does not read, and that a copy through a parser would change.
OTHERS = (
    b'"big":123456789012345678901234567890',
    b'"price" : 1.50',
    b'"huge":1E400',
    b'"zero":-0',
    b'"nan":NaN',
    b'"twice":1,"twice":[2 ,\r\n3]',
    b'"caf\\u00e9":"\\ud83d\\ude00"',
    b'"lone":"\\ud800"',
    b'"nul\\u0000":"\\u0000"',
    b'"raw":"\xff"',
    b'"":{"%b":"inner"}' % NAME,
    b'"%b ":null' % NAME,
    b'"deep":' + b"[" * 300 + b"]" * 300,
    b'"long":"' + b"x" * 2_000 + b'"',
)
STARTS = (b"{", b"{", b"{ ", b"\xef\xbb\xbf{\n")
ENDS = (b"}", b"}", b" }", b"\r\n}\r\n", b"}\n\n")
OLD = (b'"old"', b'{"label":"old"}', b"NaN", b"[1, 2]")
FIELD_KEYS = (b'"%b":' % NAME, b'"%b" :\t' % NAME, b'"\\u%04x%b":' % (NAME[0], NAME[1:]))
OTHER_HEADERS: Headers = (("trace", b"\xff\x00"), ("trace", b""), ("empty", None), ("ce_id", b"mine"))


class Parts(NamedTuple):
    """Bytes of a record's value. `members`: the event, the level, and others that are not read."""

    start: bytes
    members: tuple[bytes, ...]
    end: bytes

    def value(self, *more: bytes) -> bytes:
        """The value, with `more` members."""
        return self.start + b",".join((*self.members, *more)) + self.end


class Drawn(NamedTuple):
    """`rest`: bytes of the value around the enrichment. None: the record passes, or is a dead letter if it `dies`."""

    value: bytes | None
    rest: bytes | None = None
    team: bytes = b"payments"
    dies: bool = False


def _classified(parts: Parts, chosen: random.Random) -> Drawn:
    value = parts.value()
    head, brace, tail = value.rpartition(b"}")
    return Drawn(value, head + b',"%b":' % NAME + brace + tail)


def _with_field(parts: Parts, chosen: random.Random) -> Drawn:
    key, old = chosen.choice(FIELD_KEYS), chosen.choice(OLD)
    (first, *others), mark = parts.members, b"MARK"
    head, _, tail = parts._replace(members=(first, key + mark, *others)).value().partition(mark)
    return Drawn(head + old + tail, head + tail)


def _of_another_team(parts: Parts, chosen: random.Random) -> Drawn:
    value = chosen.choice((parts.value(), b"no JSON", b"[1]", b""))
    return Drawn(value, team=chosen.choice((b"search", b"\xff", b"")))


def _of_another_level(parts: Parts, chosen: random.Random) -> Drawn:
    return Drawn(parts._replace(members=(*parts.members[:1], b'"level":"info"')).value())


def _blank(parts: Parts, chosen: random.Random) -> Drawn:
    return Drawn(parts._replace(members=(b'"event":{"title":" "}', *parts.members[1:])).value())


def _tombstone(parts: Parts, chosen: random.Random) -> Drawn:
    return Drawn(None)


def _refused(parts: Parts, chosen: random.Random) -> Drawn:
    field = b'"%b":1' % NAME
    no_text = parts._replace(members=(b'"event":{"title":7}', *parts.members[1:]))
    return Drawn(chosen.choice((parts.value() + b"}", parts.value(field, field), no_text.value())), dies=True)


KINDS = {
    _classified: 70,
    _with_field: 8,
    _of_another_team: 6,
    _of_another_level: 6,
    _blank: 3,
    _tombstone: 3,
    _refused: 4,
}
"""Each with its weight."""


def record_messages(answers: list[Answered]) -> Maker:
    """Records, of which most are classified. The others pass or become dead letters."""

    def make(number: int, key: bytes | None, chosen: random.Random) -> Input:
        text, answer = chosen.choice(answers)
        (kind,) = chosen.choices(list(KINDS), list(KINDS.values()))
        drawn = kind(_parts(text, chosen), chosen)
        headers = [("n", b"%d" % number), ("team", drawn.team), *OTHER_HEADERS[: chosen.randrange(5)]]
        returned = tuple((name, content or b"") for name, content in headers)
        if drawn.rest is None:
            topic = RECORDS.dead_letter if drawn.dies else OUTPUT
            return Input(drawn.value, Expected(topic, key, None, 0.0, drawn.value, returned), headers)
        label, score = answer.labels[0], answer.scores[0]
        topic = URGENT if label == ROUTED else None if label == DROPPED and answer.truncated else OUTPUT
        return Input(drawn.value, Expected(topic, key, label, score, drawn.rest, returned), headers)

    return make


def _parts(text: str, chosen: random.Random) -> Parts:
    title, _, message = text.partition(" ")
    event = json.dumps({"title": title, "message": message or None}).encode()
    level = b'"level":"%b"' % chosen.choice(LEVELS).encode()
    members = (b'"event":' + event, level, *chosen.sample(OTHERS, chosen.randrange(4)))
    return Parts(chosen.choice(STARTS), members, chosen.choice(ENDS))
