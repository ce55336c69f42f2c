"""Kinds of messages: good ones, and hostile ones with their allowed outcomes."""

import json
import random
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

from tests.support.raw_batches import Headers, batch, bomb, record

BOMB_MIB = 200
LONG_BYTES = 900_000  # below limits.max_message_bytes
RUN = 200  # garbage messages in a row
RAISES, KILLS, PANICS = "box twice refund refund twice box", "never late late late never late", "q" * 40
"""What texts begin with of which the model raises or its replica dies; what the tokenizer panics at."""


class Expected(NamedTuple):
    """Allowed outcomes of one input: a dead letter with one of `reasons`, or a result if `answered`.

    `label`: the result's label, "" for any. `kind`: "good", or the name of the hostile kind.
    """

    kind: str
    reasons: frozenset[str] = frozenset()
    answered: bool = False
    label: str = ""
    score: float = 0.0


class Plain(NamedTuple):
    """A record that an ordinary client can send. `timestamp_ms` 0: now."""

    value: bytes | None
    expected: Expected
    keyed: bool = True
    timestamp_ms: int = 0


class Raw(NamedTuple):
    """A raw batch of format v2, and the allowed outcomes of its records."""

    data: bytes
    expected: list[Expected]


class Good(NamedTuple):
    """A message's value and the engine's own answer."""

    value: bytes
    label: str
    score: float

    def sent(self) -> Expected:
        return Expected("good", frozenset(), True, self.label, self.score)


Sent = Plain | Raw
Make = Callable[[random.Random, Sequence[Good]], list[Sent]]
TOO_LARGE = frozenset({"too_large", "result_too_large"})


def dead(kind: str, *reasons: str) -> Expected:
    return Expected(kind, frozenset(reasons))


def either(kind: str, *reasons: str) -> Expected:
    return Expected(kind, frozenset(reasons), True)


def message(text: str, **more: object) -> bytes:
    return json.dumps({"text": text, **more}).encode()


def garbage(chosen: random.Random, kind: str = "garbage") -> Plain:
    """Values that are no message."""
    value = chosen.choice([b"{", b'{"text": 7}', b"null", b"\xff\xfe\xfa", b'{"text"', b"[1, 2]", b"NaN", bytes(3)])
    return Plain(value, dead(kind, "invalid_json", "invalid_message", "invalid_encoding"))


def one(value: bytes | None, expected: Expected, keyed: bool = True, timestamp_ms: int = 0) -> Make:
    return lambda *_: [Plain(value, expected, keyed, timestamp_ms)]


def no_key(chosen: random.Random, good: Sequence[Good]) -> list[Sent]:
    return [Plain(chosen.choice(good).value, dead("no key", "result_refused"), keyed=False)]


def old(chosen: random.Random, good: Sequence[Good]) -> list[Sent]:
    found = chosen.choice(good)
    return [Plain(found.value, found.sent()._replace(kind="time of 1970"), timestamp_ms=1_000)]


def odd_headers(chosen: random.Random, good: Sequence[Good]) -> list[Sent]:
    """Header names in any bytes, and null header values, among good records of one batch: all have results."""
    sent, names = chosen.choices(good, k=3), [b"stra\xdfe", b"\xff\xfe", b"", b"\xed\xa0\x80"]
    headers: list[Headers] = [[(b"plain", b"x")], [(chosen.choice(names), None), (b"null", None)], []]
    return [
        Raw(
            batch(
                [
                    record(place, found.value, b"%d" % chosen.getrandbits(60), header)
                    for place, (found, header) in enumerate(zip(sent, headers, strict=True))
                ]
            ),
            [found.sent()._replace(kind="odd headers") for found in sent],
        )
    ]


@cache
def the_bomb() -> Raw:
    """A batch of a few KB whose second record is BOMB_MIB of zeros; brokers check only the compressed size.

    The first record is good, and the third lies beyond the decompression limit.
    """
    return Raw(
        bomb(BOMB_MIB, message("good")),
        [either("before the bomb", "too_large"), dead("bomb", "too_large"), dead("behind the bomb", "too_large")],
    )


@cache
def header_flood(headers: int = 50_000) -> Raw:
    """Headers without bytes, which limits on bytes of values do not count."""
    flood = record(0, message("flood"), b"flood", [(b"", b"")] * headers)
    return Raw(batch([flood], codec=4), [either("header flood", "invalid_record", *TOO_LARGE)])


def made_now(raw: Callable[[], Raw]) -> Make:
    return lambda *_: [raw()]


def slow(chosen: random.Random, _: Sequence[Good]) -> list[Sent]:
    """Texts that take a tokenizer seconds."""
    piece = chosen.choice(["\ufdfa", ".", "a b ", "x\x01 ", "ab", "\u0130"])
    text = f"{chosen.getrandbits(40)} " + piece * (LONG_BYTES // len(json.dumps(piece)))
    return [Plain(message(text), either("slow text", *TOO_LARGE))]


def tree(chosen: random.Random, _: Sequence[Good]) -> list[Sent]:
    """Metadata in which every three bytes become a Python object."""
    inner = chosen.choice(["{}", '{"":0}', "[]", "0"])
    metadata = '{"a":[' + ",".join([inner] * (LONG_BYTES // (len(inner) + 1))) + "]}"
    return [Plain(b'{"text":"good","metadata":%s}' % metadata.encode(), either("metadata tree", *TOO_LARGE))]


def deep(chosen: random.Random, _: Sequence[Good]) -> list[Sent]:
    nested = b"[" * 100_000 + b"]" * 100_000
    where = chosen.choice([b"x", b"metadata", b"id"])
    return [
        Plain(
            b'{"text":"good","%s":%s}' % (where, nested),
            either("deep JSON", "invalid_json", "invalid_message", *TOO_LARGE),
        )
    ]


def masks(chosen: random.Random, _: Sequence[Good]) -> list[Sent]:
    """Texts with many masks, each of which is a sequence for the model."""
    text = "[MASK] " * chosen.randrange(300, 500)
    return [Plain(message(text, model="f"), either("mask flood", "inference_failed", *TOO_LARGE))]


def begins_with(prefix: str, kind: str, reason: str) -> Make:
    """Texts with a prefix, each of them different."""
    return lambda chosen, _: [Plain(message(f"{prefix} {chosen.getrandbits(40)}"), dead(kind, reason))]


def kills(chosen: random.Random) -> Plain:
    """Texts that kill a replica."""
    return Plain(message(f"{KILLS} {chosen.getrandbits(40)}"), dead("kills a replica", "crashes_model"))


KINDS: dict[str, tuple[float, Make]] = {
    "garbage": (25, lambda chosen, _: [garbage(chosen)]),
    "garbage run": (0.1, lambda chosen, _: [garbage(chosen, "garbage run") for _ in range(RUN)]),
    "framing": (8, one(b"\0\0\0\0\7" + message("good"), dead("framing", "unsupported_encoding"))),
    "blank": (4, one(message(" \t"), dead("blank", "empty_text"))),
    "tombstone": (4, one(None, dead("tombstone", "tombstone"))),
    "no key": (8, no_key),
    "time of 1970": (4, old),
    "odd headers": (6, odd_headers),
    "deep": (3, deep),
    "labels": (4, one(message("good", candidate_labels=["x"] * 200), dead("labels", "invalid_labels"))),
    "top_k": (3, one(message("a [MASK]", model="f", top_k=1 << 40), either("top_k", "invalid_message", *TOO_LARGE))),
    "raises": (3, begins_with(RAISES, "raises", "inference_failed")),
    "panics": (
        2,
        lambda chosen, _: [Plain(message(f"{PANICS} {chosen.getrandbits(40)}"), dead("panics", "invalid_message"))],
    ),
    "slow": (1.5, slow),
    "tree": (1.5, tree),
    "masks": (1, masks),
    "header flood": (1, made_now(header_flood)),
    "bomb": (1, made_now(the_bomb)),
}
"""Each with its weight among the hostile messages. Those that kill replicas come by the clock: see `load`."""
