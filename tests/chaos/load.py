"""A producer that spreads messages over the run, and the messages of the plain pipeline with their outcomes."""

import json
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Message, Producer

from labelstream.workers.classifier import Prediction, Request
from labelstream.workers.engine.engine import Engine
from tests.chaos.system import PLAIN, Stream
from tests.chaos.verify import Expected, PartitionOffset

TEXTS, KEYS = 400, 150
TRICKLE_PER_S = 20.0
WORDS = ("blender", "quiet", "broke", "twice", "refund", "lovely", "cheap", "late", "box", "sound", "never", "again")


class Input(NamedTuple):
    """One message to produce, and its outcome without the timestamp."""

    value: bytes | None
    expected: Expected
    headers: list[tuple[str, bytes | None]]


Answered = tuple[str, Prediction]  # a text, and the engine's own answer
Maker = Callable[[int, bytes | None, random.Random], Input]  # arguments: number, key


class Load:
    """Produces messages of `make` continuously until `finish`: `count`, or more if faults take longer than planned.

    `expected` grows with the acknowledgements and is complete when `finish` returns. `places`: by the header `n`.
    """

    def __init__(self, bootstrap: str, stream: Stream, make: Maker, count: int, seed: int) -> None:
        self._stream, self._make, self._count, self._random = stream, make, count, random.Random(seed)
        self.expected: dict[PartitionOffset, Expected] = {}
        self.places: dict[bytes, PartitionOffset] = {}
        self.produced_at: dict[PartitionOffset, float] = {}
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.timeout.ms": 300_000,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )
        self._goal, self._per_s = 0, TRICKLE_PER_S
        self._failures: list[str] = []
        self.sent = 0
        self._is_ending = False
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._thread.start()

    def towards(self, share: float, seconds: float) -> None:
        """Produce up to `share` (0 to 1) of all messages within `seconds`, then continue slowly, never stopping."""
        self._goal = int(self._count * share)
        self._per_s = max(TRICKLE_PER_S, (self._goal - self.sent) / seconds)

    def finish(self) -> None:
        """Produce the rest and wait for every acknowledgement."""
        self._goal, self._per_s, self._is_ending = self._count, 5_000.0, True
        self._thread.join()
        left = self._producer.flush(120)
        if left or self._failures or len(self.expected) != self.sent:
            raise RuntimeError(f"the load itself failed: {left} unsent, {self._failures[:1]}, {len(self.expected)}")

    def _run(self) -> None:
        due, before = 0.0, time.monotonic()
        while self.sent < self._count or not self._is_ending:
            self._producer.poll(0.02)
            now = time.monotonic()
            due += (now - before) * (self._per_s if self.sent < self._goal else TRICKLE_PER_S)
            before = now
            while due >= 1 and not (self._is_ending and self.sent >= self._count):
                self._send()
                due -= 1

    def _send(self) -> None:
        number, chosen = self.sent, self._random
        self.sent += 1
        key = None if chosen.random() < 0.2 else b"key-%d" % chosen.randrange(KEYS)
        value, expected, headers = self._make(number, key, chosen)
        keeps = self._stream.keeps_timestamp and expected.topic != self._stream.dead_letter

        def arrived(error: object, message: Message) -> None:
            if error is not None:
                self._failures.append(str(error))
                return
            partition, offset = message.partition(), message.offset()
            assert partition is not None
            assert offset is not None
            place, time_ms = (partition, offset), message.timestamp()[1]
            self.expected[place] = expected._replace(timestamp_ms=time_ms if keeps else None)
            self.places[b"%d" % number] = place
            self.produced_at[place] = time_ms / 1000

        self._producer.produce(self._stream.input, value, key, headers=list(headers), on_delivery=arrived)


def plain_messages(answers: list[Answered]) -> Maker:
    """Messages in Labelstream's own format; 1 of 50 cannot be classified."""

    def make(number: int, key: bytes | None, chosen: random.Random) -> Input:
        text, answer = chosen.choice(answers)
        value = json.dumps({"text": text, "id": number}).encode()
        expected = Expected(PLAIN.outputs[0], key, answer.labels[0], answer.scores[0])
        if chosen.random() < 0.02:
            value = json.dumps({"text": number}).encode()
            expected = Expected(PLAIN.dead_letter, key, None, rest=value)
        return Input(value, expected, [])

    return make


def answered_texts(model: Path, seed: int) -> list[Answered]:
    """Texts with the engine's own answers."""
    chosen = random.Random(seed)
    texts = [" ".join(chosen.choices(WORDS, k=chosen.randrange(1, 40))) for _ in range(TEXTS)]
    engine = Engine.load(str(model), device="cpu", dtype="float32")
    answers = engine.classify([Request(text) for text in texts])
    engine.close()
    found = [(text, answer) for text, answer in zip(texts, answers, strict=True) if isinstance(answer, Prediction)]
    assert len(found) == len(texts)
    return found
