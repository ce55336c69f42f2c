"""Messages with their expected outcomes, and a producer that spreads them over the run."""

import json
import random
import threading
import time
from pathlib import Path

from confluent_kafka import Message, Producer

from labelstream.workers.classifier import Prediction, Request
from labelstream.workers.engine.engine import Engine
from tests.chaos.system import INPUT
from tests.chaos.verify import Expected, PartitionOffset

TEXTS, KEYS = 400, 150
TRICKLE_PER_S = 20.0
WORDS = ("blender", "quiet", "broke", "twice", "refund", "lovely", "cheap", "late", "box", "sound", "never", "again")


class Load:
    """Produces `count` messages continuously until `finish`; 1 of 50 cannot be classified.

    `expected` grows with the acknowledgements and is complete when `finish` returns.
    """

    def __init__(self, bootstrap: str, model: Path, count: int, seed: int) -> None:
        self._count, self._random = count, random.Random(seed)
        self.expected: dict[PartitionOffset, Expected] = {}
        self.produced_at: dict[PartitionOffset, float] = {}
        self._answers = _answers(model, self._random)
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
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._thread.start()

    def towards(self, share: float, seconds: float) -> None:
        """Produce up to `share` (0 to 1) of all messages within `seconds`, then continue slowly, never stopping."""
        self._goal = int(self._count * share)
        self._per_s = max(TRICKLE_PER_S, (self._goal - self.sent) / seconds)

    def finish(self) -> None:
        """Produce the rest and wait for every acknowledgement."""
        self._goal, self._per_s = self._count, 5_000.0
        self._thread.join()
        left = self._producer.flush(120)
        if left or self._failures or len(self.expected) != self._count:
            raise RuntimeError(f"the load itself failed: {left} unsent, {self._failures[:1]}, {len(self.expected)}")

    def _run(self) -> None:
        due, before = 0.0, time.monotonic()
        while self.sent < self._count:
            self._producer.poll(0.02)
            now = time.monotonic()
            due += (now - before) * (self._per_s if self.sent < self._goal else TRICKLE_PER_S)
            before = now
            while due >= 1 and self.sent < self._count:
                self._send()
                due -= 1

    def _send(self) -> None:
        number, chosen = self.sent, self._random
        self.sent += 1
        key = None if chosen.random() < 0.2 else b"key-%d" % chosen.randrange(KEYS)
        text, expected = chosen.choice(self._answers)
        value = json.dumps({"text": text, "id": number}).encode()
        if chosen.random() < 0.02:
            value, expected = json.dumps({"text": number}).encode(), Expected(None, None)

        def arrived(error: object, message: Message) -> None:
            if error is not None:
                self._failures.append(str(error))
                return
            partition, offset = message.partition(), message.offset()
            assert partition is not None
            assert offset is not None
            place = partition, offset
            self.expected[place] = expected._replace(key=key)
            self.produced_at[place] = message.timestamp()[1] / 1000

        self._producer.produce(INPUT, value, key, on_delivery=arrived)


def _answers(model: Path, chosen: random.Random) -> list[tuple[str, Expected]]:
    """Texts with the engine's own answers."""
    texts = [" ".join(chosen.choices(WORDS, k=chosen.randrange(1, 30))) for _ in range(TEXTS)]
    engine = Engine.load(str(model), device="cpu", dtype="float32")
    answers = engine.classify([Request(text) for text in texts])
    engine.close()
    assert all(isinstance(answer, Prediction) for answer in answers)
    return [
        (text, Expected(None, answer.labels[0], answer.scores[0]))
        for text, answer in zip(texts, answers, strict=True)
        if isinstance(answer, Prediction)
    ]
