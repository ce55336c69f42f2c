"""Send messages of `kinds` at a steady rate, and record their allowed outcomes."""

import random
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from labelstream.workers.classifier import MaskFill, Prediction, Request
from labelstream.workers.engine.engine import Engine
from tests.hostile.judge import PartitionOffset
from tests.hostile.kinds import KINDS, Expected, Good, Plain, Raw, Sent, kills, message
from tests.hostile.system import INPUT, PARTITIONS
from tests.support.raw_batches import send_at

TEXTS = 300
KILL_EVERY_S = 60.0
TURN_S = 0.05
WORDS = ("blender", "quiet", "broke", "twice", "lovely", "cheap", "sound", "again", "never", "good", "bad", "smells")


class Load:
    """`hostile`: share of hostile messages, may be changed. `expected` is complete after `close`."""

    def __init__(self, bootstrap: str, folder: Path, per_s: float, seed: int) -> None:
        self._bootstrap, self._per_s, self._chosen = bootstrap, per_s, random.Random(seed)
        self.hostile = 0.0
        self.expected: dict[PartitionOffset, Expected] = {}
        self.produced_at: dict[PartitionOffset, float] = {}
        self.good = answers(folder, self._chosen)
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.max.bytes": 2_000_000,
                "log_level": 0,
            }
        )
        self._ended, self._failures = threading.Event(), list[str]()
        self._killed_at = time.monotonic() - KILL_EVERY_S + 5
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Wait for every acknowledgement. Raises RuntimeError if one failed."""
        self._ended.set()
        self._thread.join(60)
        left = self._producer.flush(60)
        if left or self._failures or self._thread.is_alive():
            raise RuntimeError(f"the load itself failed: {left} unsent, {self._failures[:2]}")

    def _run(self) -> None:
        try:
            self._send_all()
        except Exception as error:
            self._failures.append(f"{type(error).__name__}: {error}")

    def _send_all(self) -> None:
        names, weights = list(KINDS), [weight for weight, _ in KINDS.values()]
        due, before = 0.0, time.monotonic()
        while not self._ended.is_set():
            self._producer.poll(TURN_S)
            now = time.monotonic()
            due, before = due + (now - before) * self._per_s, now
            if self.hostile and now > self._killed_at + KILL_EVERY_S:
                self._killed_at = now
                due -= self._send(kills(self._chosen))
            while due >= 1 and not self._ended.is_set():
                if self._chosen.random() >= self.hostile:
                    found = self._chosen.choice(self.good)
                    due -= self._send(Plain(found.value, found.sent()))
                    continue
                (name,) = self._chosen.choices(names, weights)
                for sent in KINDS[name][1](self._chosen, self.good):
                    due -= self._send(sent)

    def _send(self, sent: Sent) -> int:
        """Send, and return the number of records."""
        if isinstance(sent, Raw):
            return self._send_raw(sent)
        key = b"%d" % self._chosen.getrandbits(62) if sent.keyed else None  # unique: compaction must keep all

        def arrived(error: Any, found: Any) -> None:
            if error is not None:
                self._failures.append(f"{sent.expected.kind}: {error}")
            else:
                self._note((found.partition(), found.offset()), sent.expected)

        self._producer.produce(INPUT, sent.value, key, on_delivery=arrived, timestamp=sent.timestamp_ms)
        return 1

    def _send_raw(self, sent: Raw) -> int:
        partition = self._chosen.randrange(PARTITIONS)
        code, first = send_at(self._bootstrap, INPUT, sent.data, partition)
        if code:
            raise RuntimeError(f"the broker refused a batch of kind {sent.expected[-1].kind}: error {code}")
        for place, expected in enumerate(sent.expected):
            self._note((partition, first + place), expected)
        return len(sent.expected)

    def _note(self, place: PartitionOffset, expected: Expected) -> None:
        self.produced_at[place] = time.time()
        self.expected[place] = expected


def answers(folder: Path, chosen: random.Random) -> list[Good]:
    """Good messages for both models with the engine's own answers; nine of ten are for `m`."""
    texts = [" ".join(chosen.choices(WORDS, k=chosen.randrange(1, 30))) for _ in range(TEXTS)]
    return _labels(folder / "m", texts[TEXTS // 10 :]) + _fills(folder / "f", texts[: TEXTS // 10])


def _labels(model: Path, texts: Sequence[str]) -> list[Good]:
    found = _classify(model, texts)
    return [
        Good(message(text), answer.labels[0], answer.scores[0])
        for text, answer in zip(texts, found, strict=True)
        if isinstance(answer, Prediction)
    ]


def _fills(model: Path, texts: Sequence[str]) -> list[Good]:
    masked = [f"{text} [MASK]" for text in texts]
    found = _classify(model, masked, task="fill-mask", top_k=2)
    return [
        Good(message(text, model="f"), answer.masks[0][0].token, answer.masks[0][0].score)
        for text, answer in zip(masked, found, strict=True)
        if isinstance(answer, MaskFill)
    ]


def _classify(model: Path, texts: Sequence[str], **more: Any) -> list[Any]:
    engine = Engine.load(str(model), device="cpu", dtype="float32", **more)
    try:
        return engine.classify([Request(text) for text in texts])
    finally:
        engine.close()
