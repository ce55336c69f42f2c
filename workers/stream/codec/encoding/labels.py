"""Encodes predictions as the JSON of `ClassificationResult` without an instance of it: saves 10 us of CPU per message.

Validation and `to_json` of an instance take 17 us, the largest part of the worker's CPU time. The encoder validates the
fields that many results share by the schema, once for each combination. It checks the other fields by the same rules.
Property tests compare both ways.
"""

from datetime import UTC, datetime
from functools import lru_cache
from math import isfinite
from typing import Any, NamedTuple

from kafka.consumer.fetcher import ConsumerRecord
from pydantic import AwareDatetime, TypeAdapter
from pydantic_core import to_json

from labelstream.schemas.message import TextMessage, Verbatim
from labelstream.schemas.result import ClassificationResult, Source
from labelstream.workers.classifier import Prediction

KNOWN = 4_096  # entries of each cache: labels, models, partitions
_SOME_TIME = datetime(2026, 1, 1, tzinfo=UTC)
_TIME = TypeAdapter(AwareDatetime)
_OTHER_FIELDS = {
    "tokens": 1,
    "truncated": False,
    "metadata": None,
    "id": None,
    "event_id": "",
    "label": "",
    "score": 0.0,
    "scores": [{"label": "", "score": 0.0}],
    "labels": [],
    "abstained": True,
    "source": {"topic": "", "partition": 0, "offset": 0, "timestamp_ms": 0},
}


class _Shared(NamedTuple):
    """JSON that many results share: from the task to the id, and from the id to the tokens."""

    task: str
    model: str


def encode_labels(
    pipeline: str, record: ConsumerRecord, message: TextMessage | None, model: str, answer: Prediction, now: datetime
) -> bytes:
    """The bytes of `encode_result`, or of `encode_enrichment` if `message` is None.

    Raises ValueError, of which pydantic's ValidationError is a subclass, when the result is invalid.
    """
    labels, scores, tokens = answer.labels, answer.scores, answer.tokens
    accepted = labels[:1] if answer.accepted is None else answer.accepted
    _check(labels, scores, tokens, answer.truncated)
    quoted = [_text(label) for label in labels]
    listed = ",".join([f'{{"label":{label},"score":{score!r}}}' for label, score in zip(quoted, scores, strict=True)])
    task, of_model = _shared(answer.task, model, answer.revision)
    event, source = partition_json(pipeline, record.topic, record.partition)
    offset, at, is_truncated = record.offset, record.timestamp, "true" if answer.truncated else "false"
    if message is None:  # a second copy of the template: a shared function would cost each result 0.2 us
        task, of_model = _shared(answer.task, model, answer.revision, "", "")
        return (
            f'{{"schema_version":1,{event}{offset:d}",{task}{of_model}{tokens},'
            f'"truncated":{is_truncated},{source}{offset:d},"timestamp_ms":{at:d}}},"classified_at":{time_json(now)},'
            f'"label":{quoted[0]},"score":{scores[0]!r},"scores":[{listed}],'
            f'"labels":[{",".join(map(_text, accepted))}],"abstained":{"false" if accepted else "true"}}}'
        ).encode()
    own_id, metadata = message.id, message.metadata
    return (
        f'{{"schema_version":1,{event}{offset:d}",{task}'
        f"{own_id if type(own_id) is int else 'null' if own_id is None else _json(own_id)}{of_model}{tokens},"
        f'"truncated":{is_truncated},{source}{offset:d},"timestamp_ms":{at:d}}},'
        f'"metadata":{json_of(metadata)},"classified_at":{time_json(now)},'
        f'"label":{quoted[0]},"score":{scores[0]!r},"scores":[{listed}],'
        f'"labels":[{",".join(map(_text, accepted))}],"abstained":{"false" if accepted else "true"}}}'
    ).encode()


def encode_answer(answer: Prediction) -> str:
    """JSON of `ClassificationAnswer`, without the texts. Raises ValueError when the answer is invalid."""
    labels, scores = answer.labels, answer.scores
    accepted = labels[:1] if answer.accepted is None else answer.accepted
    _check(labels, scores, answer.tokens, answer.truncated)
    entries = _entries(answer)
    order, order_json = (range(len(entries)), "") if answer.order is None else (answer.order, ',"scores_order":"model"')
    if sorted(order) != list(range(len(entries))):
        raise ValueError("order must name each label once")
    return (
        f'{{"model_revision":{_text(answer.revision)},"tokens":{answer.tokens},'
        f'"truncated":{"true" if answer.truncated else "false"},"label":{_text(labels[0])},"score":{scores[0]!r},'
        f'"scores":[{",".join([entries[i] for i in order])}],"labels":[{",".join(map(_text, accepted))}],'
        f'"abstained":{"false" if accepted else "true"}{order_json}}}'
    )


def in_order(result: bytes, answer: Prediction, order: tuple[int, ...]) -> bytes:
    """Reorder the scores of `result`, the JSON of `answer`. Raises ValueError when `order` is no permutation."""
    entries = _entries(answer)
    if sorted(order) != list(range(len(entries))):
        raise ValueError("order must name each label once")
    found, wanted = (f'"scores":[{",".join(one)}],'.encode() for one in (entries, [entries[i] for i in order]))
    before, _, after = result.rpartition(found)
    return b'%b%b%b,"scores_order":"model"}' % (before, wanted, after[:-1])


def _entries(answer: Prediction) -> list[str]:
    """JSON of each entry of `scores`, best first."""
    return [
        f'{{"label":{_text(label)},"score":{score!r}}}'
        for label, score in zip(answer.labels, answer.scores, strict=True)
    ]


def _check(labels: tuple[str, ...], scores: tuple[float, ...], tokens: int, truncated: bool) -> None:
    """Check the fields of one message by the rules of `ClassificationResult`; `_text` checks the labels."""
    if not labels or len(labels) != len(scores):
        raise ValueError(f"{len(labels)} labels for {len(scores)} scores")
    if type(tokens) is not int or tokens < 1 or type(truncated) is not bool:
        raise ValueError("tokens must be a positive integer, and truncated a boolean")
    last = float("inf")
    for score in scores:
        if type(score) is not float or not isfinite(score):
            raise ValueError("scores must be finite numbers")
        if score > last:
            raise ValueError("scores must descend")
        last = score


@lru_cache(KNOWN)
def _text(text: str) -> str:
    """JSON of a label. Raises ValueError for other types than str."""
    if type(text) is not str:
        raise ValueError("labels must be strings")
    return _json(text)


@lru_cache(KNOWN)
def _shared(task: str, model: str, revision: str, before_id: str = '"id":', behind_id: str = ",") -> _Shared:
    """JSON around the id. Raises ValidationError."""
    _validate({"task": task, "model": model, "model_revision": revision, "classified_at": _SOME_TIME})
    return _Shared(
        f'"task":{_json(task)},{before_id}',
        f'{behind_id}"model":{_json(model)},"model_revision":{_json(revision)},"tokens":',
    )


@lru_cache(KNOWN)
def partition_json(pipeline: str, topic: str, partition: int) -> tuple[str, str]:
    """JSON of `event_id` and `source`, each up to the offset. Raises ValidationError."""
    Source.__pydantic_validator__.validate_python(
        {"topic": topic, "partition": partition, "offset": 0, "timestamp_ms": 0}
    )
    return (
        f'"event_id":{_json(f"{pipeline}/{topic}/{partition}/")[:-1]}',
        f'"source":{{"topic":{_json(topic)},"partition":{partition},"offset":',
    )


@lru_cache(1)  # a micro-batch has one time
def time_json(now: datetime) -> str:
    """JSON of `classified_at`. Raises ValidationError."""
    return _TIME.dump_json(_TIME.validate_python(now, strict=True)).decode()


def _validate(part: dict[str, Any]) -> None:
    ClassificationResult.__pydantic_validator__.validate_python({**_OTHER_FIELDS, **part})


def json_of(metadata: Verbatim | dict[str, Any] | None) -> str:
    """JSON of the metadata; Verbatim keeps each digit of the input."""
    return metadata if type(metadata) is Verbatim else "null" if metadata is None else _json(metadata)


def _json(value: Any) -> str:
    return to_json(value).decode()
