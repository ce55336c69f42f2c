"""All targets by name."""

from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis.strategies import SearchStrategy

from tests.fuzz import answers, logs, long, records, values
from tests.fuzz.bounds import bounded


class ByBytes(NamedTuple):
    """A target that takes bytes. `seeds`: inputs to mutate."""

    check: Callable[[bytes], None]
    seeds: list[bytes]

    def cheaply(self, data: bytes) -> None:
        """Check `data`, and its cost."""
        with bounded(len(data)):
            self.check(data)


class Drawn(NamedTuple):
    """`strategies`: one for each argument, in order."""

    check: Callable[..., Any]
    strategies: tuple[SearchStrategy[Any], ...]


BYTES: dict[str, ByBytes] = {
    "json": ByBytes(values.decode_json, values.JSON_SEEDS),
    "field": ByBytes(values.decode_field, values.FIELD_SEEDS),
    "texts": ByBytes(values.decode_texts, values.TEXTS_SEEDS),
    "text": ByBytes(values.decode_text, values.TEXT_SEEDS),
    "enrich": ByBytes(records.enriched, records.ENRICH_SEEDS),
    "condition": ByBytes(records.condition, records.CONDITION_SEEDS),
    "batch": ByBytes(logs.batch_body, logs.BODY_SEEDS),
    "legacy": ByBytes(logs.legacy_body, logs.LEGACY_SEEDS),
    "log": ByBytes(logs.whole_log, logs.LOG_SEEDS),
    "inflate": ByBytes(logs.inflated, logs.INFLATE_SEEDS),
}
DRAWN: dict[str, Drawn] = {
    "batches": Drawn(logs.drawn_batches, logs.BATCHES),
    "sets": Drawn(logs.drawn_sets, logs.SETS),
    "data": Drawn(logs.drawn_data, logs.DATA),
    "messages": Drawn(answers.drawn_messages, answers.MESSAGES),
    "letters": Drawn(answers.drawn_letters, answers.LETTERS),
    "repeats": Drawn(long.drawn_repeats, long.REPEATS),
    "depths": Drawn(long.drawn_depths, long.DEPTHS),
}
