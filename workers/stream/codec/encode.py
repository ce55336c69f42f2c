"""Encodes answers and rejections as records. Each payload is validated before it is sent."""

import hashlib
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from importlib.metadata import version
from typing import Any, Literal, NamedTuple

from kafka.consumer.fetcher import ConsumerRecord
from pydantic import BaseModel
from pydantic_core import to_json

from labelstream.schemas.dead_letter import (
    ATTEMPTS,
    CONNECT,
    NULL,
    OURS,
    REDRIVEN,
    UNREAD,
    DeadLetterHeaders,
    Reason,
    Stage,
)
from labelstream.schemas.message import TextMessage
from labelstream.schemas.result import ClassificationResult, EmbeddingResult, FillMaskResult
from labelstream.workers.classifier import Answered, Embedding, MaskFill, Prediction
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.codec.encode_answers import answers_with_texts, encode_answers
from labelstream.workers.stream.codec.encode_labels import encode_labels, in_order, json_of
from labelstream.workers.stream.codec.enrich import Enricher
from labelstream.workers.stream.codec.rejection import Rejection
from labelstream.workers.stream.codec.text_list import TextList
from labelstream.workers.stream.record_batch.unread import HeadersLeftOut, Unread

VERSION = version("labelstream")
RECORD_OVERHEAD = 128  # bytes: upper bound of the batch and record headers in Kafka's format v2
MAX_DIGITS = 18  # of a number in a header: longer numbers overflow int64 and are ignored
Headers = list[tuple[str, bytes]]


class ProducerRecord(NamedTuple):
    """A record to produce. `partition` None: chosen by key. `timestamp_ms` None: the time of sending."""

    value: bytes | None
    key: bytes | None
    headers: Headers
    partition: int | None = None
    timestamp_ms: int | None = None

    def size(self) -> int:
        """Upper bound of the uncompressed bytes of a record batch with this record alone."""
        size = len(self.value or b"") + len(self.key or b"") + RECORD_OVERHEAD
        for name, value in self.headers:
            size += len(name) * 4 + len(value) + 10
        return size


def event_id(pipeline: str, record: ConsumerRecord) -> str:
    """Id of a result, identical for each replay of the record."""
    return f"{pipeline}/{record.topic}/{record.partition}/{record.offset}"


def encode_result(
    pipeline: str, record: ConsumerRecord, message: TextMessage, model: str, answer: Answered, now: datetime
) -> bytes:
    """The result's JSON. Raises ValueError, mostly pydantic's, when the result is invalid."""
    if isinstance(answer, Prediction):
        result = encode_labels(pipeline, record, message, model, answer, now)
        return result if answer.order is None else in_order(result, answer, answer.order)
    rest = _encode_other(pipeline, record, message.id, model, answer, now, {"metadata"})
    return _with_metadata(rest, message)


def encode_answer(event_id: str, message: TextMessage, model: str, answer: Answered, now: datetime) -> bytes:
    """The JSON of a result whose message is no record: `source` is null. Raises as `encode_result`."""
    return _with_metadata(_encode_by_schema(event_id, None, message.id, model, answer, now, {"metadata"}), message)


def encode_enrichment(pipeline: str, record: ConsumerRecord, model: str, answer: Answered, now: datetime) -> bytes:
    """The result's JSON without `id`, `metadata` and texts. Raises as `encode_result`."""
    if isinstance(answer, Prediction):
        part = encode_labels(pipeline, record, None, model, answer, now)
        return part if answer.order is None else in_order(part, answer, answer.order)
    return _encode_other(pipeline, record, None, model, answer, now, {"id", "metadata"})


def with_texts(result: bytes, message: TextMessage, answer: Any) -> bytes:
    """Add the texts of the message to `result`, the encoded `answer`."""
    if isinstance(message, TextList):
        return answers_with_texts(result, message, answer)
    pair = b"" if message.text_pair is None else b',"text_pair":' + to_json(message.text_pair)
    return b'%b,"text":%b%b}' % (result[:-1], to_json(message.text), pair)


def value_encoder(name: str, settings: PipelineSettings) -> Callable[..., bytes]:
    """The function of record, message, model, answer and time that encodes an output record's value."""
    if settings.output_shape == "enrich":
        enricher = Enricher(settings.enrich_field, settings.on_existing == "replace")
        if settings.fields.is_list:
            encode = partial(encode_answers, name, has_record=False)
            return lambda record, *rest: enricher.add(record.value, encode(record, *rest))
        return lambda record, message, model, answer, now: enricher.add(
            record.value, encode_enrichment(name, record, model, answer, now)
        )
    if settings.fields.is_list:
        return partial(encode_answers, name, has_texts=settings.include_text == "always")
    if settings.include_text == "always":
        return lambda record, message, model, answer, now: with_texts(
            encode_result(name, record, message, model, answer, now), message, answer
        )
    return partial(encode_result, name)


def _encode_other(
    pipeline: str,
    record: ConsumerRecord,
    own_id: str | int | None,
    model: str,
    answer: MaskFill | Embedding,
    now: datetime,
    left_out: set[str],
) -> bytes:
    source = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp,
    }
    return _encode_by_schema(event_id(pipeline, record), source, own_id, model, answer, now, left_out)


def _with_metadata(result: bytes, message: TextMessage) -> bytes:
    return b'%s,"metadata":%s}' % (result[:-1], json_of(message.metadata).encode())


def _encode_by_schema(
    event_id: str,
    source: dict[str, Any] | None,
    own_id: str | int | None,
    model: str,
    answer: Answered,
    now: datetime,
    left_out: set[str],
) -> bytes:
    schema, own = _own_part(answer)
    result = schema.__pydantic_validator__.validate_python(
        {
            "task": answer.task,
            "event_id": event_id,
            "id": own_id,
            "model": model,
            "model_revision": answer.revision,
            "tokens": answer.tokens,
            "truncated": answer.truncated,
            "source": source,
            "metadata": None,
            "classified_at": now,
            **own,
        }
    )
    return schema.__pydantic_serializer__.to_json(result, exclude=left_out)


def _own_part(answer: Answered) -> tuple[type[BaseModel], dict[str, Any]]:
    """The schema of the answer's task, and the fields that no other task has."""
    if isinstance(answer, Embedding):
        return EmbeddingResult, {"embedding": list(answer.vector)}
    if isinstance(answer, MaskFill):
        return FillMaskResult, {"masks": [[fill._asdict() for fill in fills] for fills in answer.masks]}
    accepted = answer.labels[:1] if answer.accepted is None else answer.accepted
    scores = [{"label": label, "score": score} for label, score in zip(answer.labels, answer.scores, strict=True)]
    own = {**scores[0], "scores": scores, "labels": list(accepted), "abstained": not accepted}
    if answer.order is not None:
        own |= {"scores": [scores[i] for i in answer.order], "scores_order": "model"}
    return ClassificationResult, own


def result_headers(mode: Literal["pass", "cloudevents"], pipeline: str, record: ConsumerRecord, kind: str) -> Headers:
    """The input record's own headers; mode "cloudevents" adds CloudEvents 1.0 in Kafka's binary content mode.

    `kind`: task of the result, with `.answers` behind it for several texts.
    """
    headers = own_headers(record) if record.headers else []
    if mode == "cloudevents":
        headers = [item for item in headers if not item[0].startswith("ce_") and item[0] != "content-type"]
        headers += [
            ("ce_specversion", b"1.0"),
            ("ce_id", event_id(pipeline, record).encode()),
            ("ce_source", f"/labelstream/{pipeline}".encode()),
            ("ce_type", f"labelstream.{kind}.v1".encode()),
            ("content-type", b"application/json"),
        ]
    return headers


def own_headers(record: ConsumerRecord, ours: str | tuple[str, ...] = OURS) -> Headers:
    """The record's headers for the producer, which refuses null values: null becomes empty.

    Headers whose names begin with `ours` are dropped: redriven records have such headers.
    """
    return [(name, b"" if value is None else value) for name, value in record.headers if not name.startswith(ours)]


def number_in(headers: Iterable[tuple[str, bytes | None]], name: str, default: int = 0) -> int:
    """The number in the last header of this name; `default` if the header is missing or not a number."""
    value = dict(headers).get(name) or b""
    return int(value) if value.isdigit() and len(value) <= MAX_DIGITS else default


def omission(value: bytes | None) -> str:
    """Header text for an omitted value: its size and hash, which identify the value, or that it was not read."""
    if isinstance(value, Unread):
        return UNREAD
    value = value or b""
    return f"bytes={len(value)};sha256={hashlib.sha256(value).hexdigest()}"


def made_key(record: ConsumerRecord) -> bytes:
    """Key for a record without a key in a compacted topic, which requires keys."""
    return f"{record.topic}-{record.partition}-{record.offset}".encode()


def encode_dead_letter(
    record: ConsumerRecord, rejection: Rejection, max_bytes: int, keyed: bool = False
) -> ProducerRecord:
    """The input record with the reason in its headers, of at most `max_bytes`.

    A record that is too large loses its value first, then key and own headers. `value_omitted` and `headers_omitted`
    record the loss, also of headers that were too many to read. `attempts` continues the count of a redriven record.
    `keyed`: a record without a key gets a made one, which the header `key_made` records.
    """
    own = own_headers(record, (OURS, CONNECT))
    is_null = record.value is None and rejection.reason != Reason.TOMBSTONE
    missing = UNREAD if isinstance(record.value, Unread) else NULL if is_null else None
    key = made_key(record) if keyed and record.key is None else record.key
    whole = ProducerRecord(record.value or b"", key, own + _headers(record, rejection, key, missing))
    if whole.size() <= max_bytes:
        return whole
    omitted = missing or omission(record.value)
    without_value = ProducerRecord(b"", key, own + _headers(record, rejection, key, omitted))
    if without_value.size() <= max_bytes:
        return without_value
    key = made_key(record) if keyed else None
    return ProducerRecord(b"", key, _headers(record, rejection, key, omitted, _omitted_headers(own)))


def _omitted_headers(headers: Headers) -> str | None:
    """Header text for omitted headers: their number and size."""
    size = sum(len(name.encode()) + len(value) for name, value in headers)
    return HeadersLeftOut(len(headers), size).told() if headers else None


def too_large(size: int, model: str) -> Rejection:
    """Rejection of a result of about `size` bytes that the output topic refuses."""
    return Rejection(
        Reason.RESULT_TOO_LARGE,
        Stage.ENCODE,
        "ResultTooLarge",
        f"the result has about {size} bytes, more than the output topic accepts; raise its max.message.bytes",
        model=model,
    )


def _headers(
    record: ConsumerRecord,
    rejection: Rejection,
    key: bytes | None,
    value_omitted: str | None = None,
    headers_omitted: str | None = None,
) -> Headers:
    headers = record.headers
    return DeadLetterHeaders(
        topic=record.topic,
        partition=str(record.partition),
        offset=str(record.offset),
        stage=rejection.stage,
        class_name="labelstream.stream",
        exception_class_name=rejection.error_class,
        exception_message=rejection.message[:1000],
        reason=rejection.reason,
        attempts=str(number_in(record.headers, ATTEMPTS) + rejection.attempts),
        model=rejection.model,
        version=VERSION,
        redriven=str(redriven) if (redriven := number_in(record.headers, REDRIVEN)) else None,
        value_omitted=value_omitted,
        headers_omitted=headers_omitted or (headers.told() if isinstance(headers, HeadersLeftOut) else None),
        key_made=None if key == record.key or key is None else "true",
    ).headers()
