"""Encodes the outcomes of a record's texts as the JSON of `schemas/answers.py`."""

from datetime import datetime

from kafka.consumer.fetcher import ConsumerRecord
from pydantic_core import to_json

from labelstream.schemas.answers import EmbeddingAnswer, FillMaskAnswer
from labelstream.workers.classifier import Embedding, MaskFill, Prediction, RecordError
from labelstream.workers.stream.codec.encoding.labels import encode_answer, json_of, partition_json, time_json
from labelstream.workers.stream.codec.rejection import Rejection
from labelstream.workers.stream.codec.text_list import ListedText, TextAnswers, TextList, TextOutcome

_ANSWERS = b',"answers":['


def encode_answers(
    pipeline: str,
    record: ConsumerRecord,
    message: TextList,
    model: str,
    answer: TextAnswers,
    now: datetime,
    *,
    has_record: bool = True,
    has_texts: bool = False,
) -> bytes:
    """The result's JSON. Raises ValueError when the result is invalid.

    `has_record`: False leaves `id` and `metadata` out, for an enrichment. `has_texts`: each answer has its texts.
    """
    event, source = partition_json(pipeline, record.topic, record.partition)
    own_id = f'"id":{to_json(message.id).decode()},' if has_record else ""
    metadata = f'"metadata":{json_of(message.metadata)},' if has_record else ""
    head = (
        f'{{"schema_version":1,{event}{record.offset:d}","task":"{answer.task}",{own_id}'
        f'"model":{to_json(model).decode()},{source}{record.offset:d},"timestamp_ms":{record.timestamp:d}}},'
        f'{metadata}"classified_at":{time_json(now)}'
    )
    return b"%b%b%b" % (head.encode(), _ANSWERS, _listed(message, answer, has_texts))


def answers_with_texts(result: bytes, message: TextList, answer: TextAnswers) -> bytes:
    """`result`, the output of `encode_answers`, with the texts of each answer."""
    # No string of the answers holds these bytes, because JSON escapes quotes.
    return result[: result.rindex(_ANSWERS)] + _ANSWERS + _listed(message, answer, True)


def _listed(message: TextList, answer: TextAnswers, has_texts: bool) -> bytes:
    """The answers and the closing brackets."""
    parts = map(_encode, answer.texts)
    if has_texts:
        parts = (part[:-1] + _texts(message, text) + b"}" for part, text in zip(parts, message.texts, strict=True))
    return b",".join(parts) + b"]}"


def _encode(outcome: TextOutcome) -> bytes:
    match outcome:
        case Prediction():
            return encode_answer(outcome).encode()
        case RecordError() | Rejection():
            reason = outcome.reason if isinstance(outcome, Rejection) else outcome.fault
            return to_json({"error": {"reason": reason.value, "message": outcome.message}})
        case MaskFill():
            schema, own = FillMaskAnswer, {"masks": [[fill._asdict() for fill in fills] for fills in outcome.masks]}
        case Embedding():
            schema, own = EmbeddingAnswer, {"embedding": list(outcome.vector)}
    shared = {"model_revision": outcome.revision, "tokens": outcome.tokens, "truncated": outcome.truncated}
    return schema.__pydantic_serializer__.to_json(schema.__pydantic_validator__.validate_python({**shared, **own}))


def _texts(message: TextList, text: ListedText) -> bytes:
    """The members with the texts; none for a text that could not be read."""
    if not text.text:
        return b""
    pair = message.pair_of(text)
    return b',"text":' + to_json(text.text) + (b"" if pair is None else b',"text_pair":' + to_json(pair))
