"""Encodes answers as the values of output records. Each payload is validated before it is sent."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from kafka.consumer.fetcher import ConsumerRecord
from pydantic import BaseModel
from pydantic_core import to_json

from labelstream.schemas.message import TextMessage
from labelstream.schemas.result import ClassificationResult, EmbeddingResult, FillMaskResult
from labelstream.workers.classifier import Answered, Embedding, MaskFill, Prediction
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.codec.encoding.answers import answers_with_texts, encode_answers
from labelstream.workers.stream.codec.encoding.enrich import Enricher
from labelstream.workers.stream.codec.encoding.labels import encode_labels, in_order, json_of
from labelstream.workers.stream.codec.text_list import TextList


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
