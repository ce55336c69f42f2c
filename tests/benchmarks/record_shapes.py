"""CPU of decoding a record and encoding what goes out for it, by the shapes of both.

    python -m tests.benchmarks.record_shapes [--rounds 25] [--json FILE]

Each round does each shape once, so that what else the machine does meets all of them. Figures are medians, in
microseconds of the thread's CPU per message; the extra cost is the median over the rounds' differences.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kafka.consumer.fetcher import ConsumerRecord

from labelstream.workers.classifier import Prediction
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.codec.decode import decoder
from labelstream.workers.stream.codec.encoding.results import value_encoder
from labelstream.workers.stream.codec.fields.conditions import ConditionCheck
from labelstream.workers.stream.codec.text_list import TextAnswers

MESSAGES = 2_000
TEXT = "It broke after a week and nobody answered my mail, so I shall not buy here again. " * 2
EVENT = {f"field_{number}": {"n": number, "s": f"value {number}", "f": number / 7} for number in range(39)}
NATIVE = json.dumps({"text": TEXT, "id": "review-17", "metadata": {"shop": "Leeds"}}).encode()
LOG = json.dumps({**EVENT, "event": {"message": TEXT, "id": 17, "level": "error"}}).encode()
TEXTS = 10
LOGS = json.dumps({"logs": [{"at": number, "body": {"text": TEXT}} for number in range(TEXTS)]}).encode()
ANSWER = Prediction(("POSITIVE", "NEGATIVE"), (0.9704646468162537, 0.029535338282585144), 7, False, "dir-1ec22f51d359")
SHAPES: dict[str, tuple[bytes, dict[str, Any]]] = {
    "messages": (NATIVE, {}),
    "messages, enriched": (NATIVE, {"output_shape": "enrich"}),
    "messages, with text": (NATIVE, {"include_text": "always"}),
    "log events": (LOG, {"text_field": "event.message"}),
    "log events, enriched": (LOG, {"text_field": "event.message", "output_shape": "enrich"}),
    "log events, id": (LOG, {"fields": {"text": "event.message", "id": "event.id"}}),
    "log events, metadata": (LOG, {"fields": {"text": "event.message", "metadata": ["event.level", "field_3.n"]}}),
    "log events, a float": (LOG, {"fields": {"text": "event.message", "metadata": ["event.level", "field_3.f"]}}),
    "log events, condition": (LOG, {"text_field": "event.message", "only_if": {"field": "event.id", "exists": True}}),
    "lists of 10": (LOGS, {"fields": {"text": "logs[*].body.text"}}),
    "lists of 10, enriched": (LOGS, {"fields": {"text": "logs[*].body.text"}, "output_shape": "enrich"}),
}


def way(value: bytes, more: dict[str, Any]) -> Callable[[], bytes]:
    """One record through the codec of a pipeline with these settings."""
    settings = PipelineSettings(**{"input": "in", "output": "out", "dead_letter": "dlq", "model": "m", **more})
    decode, encode, now = decoder(settings), value_encoder("p", settings), datetime.now(UTC)
    conditions = ConditionCheck(settings) if settings.only_if else None
    record = ConsumerRecord("in", 3, None, 4711, 1795229000123, 0, b"k", value, [], None, 1, len(value), -1)
    answer = TextAnswers((ANSWER,) * TEXTS) if settings.fields.is_list else ANSWER

    def once() -> bytes:
        tree = None
        if conditions is not None:
            conditions.takes_value(value)
            tree = conditions.tree
        return encode(record, decode(record.value, record.key, record.headers, tree), "m", answer, now)

    return once


def cpu_us(way: Callable[[], bytes], messages: int) -> float:
    """Of one message."""
    started = time.thread_time()
    for _ in range(messages):
        way()
    return (time.thread_time() - started) / messages * 1e6


def measure(rounds: int, messages: int = MESSAGES) -> dict[str, dict[str, float]]:
    """Microseconds of each shape, and what it takes beyond the plain one of the same records."""
    ways = {name: way(*shape) for name, shape in SHAPES.items()}
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, one in ways.items():
            took[name].append(cpu_us(one, messages))
    figures = {}
    for name, found in took.items():
        extra = [own - plain for own, plain in zip(found, took[name.partition(",")[0]], strict=True)]
        figures[name] = {"us": statistics.median(found), "extra_us": statistics.median(extra)}
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    figures = measure(options.rounds)
    for name, found in figures.items():
        print(f"{name:24} {found['us']:6.1f} us  {found['extra_us']:+6.1f} us")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
