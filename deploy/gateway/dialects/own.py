"""Labelstream's own dialect: a message in, a result out, both by the schemas of the topics.

A list of messages gets a list: in the place of each message its result, or the error of this message alone.
"""

import asyncio
import re
import uuid
from codecs import BOM_UTF8
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple

from fastapi import Depends, Query, Request, Response

from labelstream.deploy.gateway.envelopes import DialectRouter, path_model
from labelstream.deploy.gateway.served import Model, RequestRefused, Served, TooManyTexts, UnknownModel, WrongTask
from labelstream.deploy.gateway.texts import LIMITS, TextFailed
from labelstream.schemas.dead_letter import Reason
from labelstream.schemas.export import json_schema
from labelstream.schemas.message import TextMessage
from labelstream.schemas.request_error import RequestError, RequestReason
from labelstream.schemas.result import ClassificationResult, EmbeddingResult, FillMaskResult
from labelstream.workers.classifier import Answer, Prediction, RecordError
from labelstream.workers.engine.description import TaskName
from labelstream.workers.engine.tasks.postprocess import in_order_of
from labelstream.workers.stream.codec.decode_json import read_message
from labelstream.workers.stream.codec.encoding.results import encode_answer
from labelstream.workers.stream.codec.json_spans import items
from labelstream.workers.stream.codec.json_values import form_error
from labelstream.workers.stream.codec.rejection import DecodeError
from labelstream.workers.stream.codec.request import check_message, request_of

REQUEST_ID = "x-request-id"
_IDS = re.compile(r"[!-~]{1,128}")
_DECODE_STATUS = {
    Reason.INVALID_JSON: 400,
    Reason.INVALID_ENCODING: 400,
    Reason.INVALID_TEXT: 400,
    Reason.UNSUPPORTED_ENCODING: 400,
    Reason.TOO_LARGE: 413,
}
_REASONS: dict[int, Reason | RequestReason] = {
    400: Reason.INVALID_JSON,
    401: RequestReason.UNAUTHORIZED,
    404: Reason.UNKNOWN_MODEL,
    405: RequestReason.METHOD_NOT_ALLOWED,
    408: RequestReason.REQUEST_TIMEOUT,
    413: Reason.TOO_LARGE,
    415: RequestReason.UNSUPPORTED_MEDIA_TYPE,
    422: Reason.INVALID_MESSAGE,
    429: RequestReason.BUSY,
    503: RequestReason.NOT_READY,
    504: RequestReason.LATE,
}
_RESULT = ClassificationResult | FillMaskResult | EmbeddingResult
_MESSAGE = {name: value for name, value in json_schema("message").items() if name != "$schema"}
_ITEM = {"anyOf": [_MESSAGE, {"description": "Anything else: its place in the answer has an error."}]}
_BODY = {"application/json": {"schema": {"anyOf": [_MESSAGE, {"type": "array", "items": _ITEM}]}}}
Order = Annotated[
    Literal["score", "model"] | None,
    Query(alias="scores_order", description="Order of `scores`; without it, `scores_order` of the model."),
]


class MessageRefused(RequestRefused):
    """The message cannot be decoded."""

    def __init__(self, error: DecodeError) -> None:
        super().__init__(error.message)
        self.reason, self.status = error.reason, _DECODE_STATUS.get(error.reason, 422)


class _Asked(NamedTuple):
    message: TextMessage
    model: Model


def router(served: Served) -> DialectRouter:
    """`POST /classify`."""
    routes = DialectRouter(error_body, RequestError)

    @routes.post(
        "/classify",
        response_model=_RESULT | list[_RESULT | RequestError],
        openapi_extra={"requestBody": {"required": True, "content": _BODY}},
    )
    async def classify(
        request: Request, model: Annotated[str | None, Depends(path_model)], order: Order = None
    ) -> Response:
        """Classify a message, or each of a list of messages."""
        given = request.headers.get(REQUEST_ID, "")  # Serve's proxy makes an id if there is none, and returns it
        event_id = f"http/{given if _IDS.fullmatch(given) else uuid.uuid4().hex}"
        body = (await request.body()).removeprefix(BOM_UTF8)
        if body.lstrip()[:1] != b"[":
            answer = await _one(served, body, model, order, event_id)
        else:
            answer = await _several(served, _items(body, served.max_texts), model, order, event_id)
        return Response(answer, media_type="application/json")

    return routes


def error_body(error: RequestRefused) -> dict[str, Any]:
    """The fields of `RequestError`."""
    return RequestError(reason=_reason(error), message=error.message).model_dump(mode="json")


def _reason(error: RequestRefused) -> Reason | RequestReason:
    match error:
        case MessageRefused():
            return error.reason
        case TextFailed():
            return Reason(error.fault.value)
        case TooManyTexts():
            return RequestReason.TOO_MANY_TEXTS
        case WrongTask():
            return RequestReason.WRONG_TASK
    refused = RequestReason.FORBIDDEN if error.status < 500 else RequestReason.INTERNAL_ERROR
    return _REASONS.get(error.status, refused)


async def _one(served: Served, body: bytes, model: str | None, order: str | None, event_id: str) -> bytes:
    message = _read(body, model)
    asked = _Asked(message, await served.model(_name(message, model), tuple(TaskName)))
    (answer,) = await served.answer(asked.model, [request_of(message)])
    return _encode(asked, _in_order(asked, answer, order), event_id)


def _items(body: bytes, max_texts: int) -> list[bytes]:
    """The raw messages of the list `body`. Raises errors of the whole list."""
    try:
        found = items(body)
    except ValueError as error:
        raise MessageRefused(form_error(body, str(error), error)) from None
    if len(found) > max_texts:  # also of messages that are wrong: each has an error in the answer
        raise TooManyTexts(f"{len(found)} messages in one request; send {max_texts} at most")
    return found


async def _several(served: Served, raw: Sequence[bytes], model: str | None, order: str | None, event_id: str) -> bytes:
    """Results and errors of the list of messages. Raises errors of the gateway."""
    found = await _look_up(served, [_read_or_error(one, model) for one in raw], model)
    answers = await _answer(served, found)
    parts = (
        _encode_item(one, answer, order, f"{event_id}/{index}")
        for index, (one, answer) in enumerate(zip(found, answers, strict=True))
    )
    return b"[%b]" % b",".join(parts)


async def _look_up(
    served: Served, messages: Sequence[TextMessage | RequestRefused], model: str | None
) -> list[_Asked | RequestRefused]:
    """Each message with its model, or its error."""
    models: dict[str | None, Model | RequestRefused] = {}
    found: list[_Asked | RequestRefused] = []
    for message in messages:
        if isinstance(message, RequestRefused):
            found.append(message)
            continue
        name = _name(message, model)
        if name not in models:
            try:
                models[name] = await served.model(name, tuple(TaskName))
            except UnknownModel as error:
                if model is not None:
                    raise
                models[name] = error
        known = models[name]
        found.append(known if isinstance(known, RequestRefused) else _Asked(message, known))
    return found


async def _answer(served: Served, found: Sequence[_Asked | RequestRefused]) -> list[Answer | None]:
    """One call for each model. None for a message that has an error already."""
    rows: dict[str, list[tuple[int, _Asked]]] = {}
    for index, asked in enumerate(found):
        if isinstance(asked, _Asked):
            rows.setdefault(asked.model.name, []).append((index, asked))
    called = [
        served.answer(group[0][1].model, [request_of(asked.message) for _, asked in group]) for group in rows.values()
    ]
    answers: list[Answer | None] = [None] * len(found)
    for group, answered in zip(rows.values(), await asyncio.gather(*called), strict=True):
        for (index, _), answer in zip(group, answered, strict=True):
            answers[index] = answer
    return answers


def _read_or_error(value: bytes, model: str | None) -> TextMessage | RequestRefused:
    try:
        return _read(value, model)
    except MessageRefused as error:
        return error


def _read(value: bytes, model: str | None) -> TextMessage:
    try:
        message = read_message(value)
        check_message(message, LIMITS)
        if model is not None and message.model not in (None, model):
            raise DecodeError(Reason.INVALID_MESSAGE, "model: another model than that of the path; leave out one")
    except DecodeError as error:
        raise MessageRefused(error) from None
    return message


def _name(message: TextMessage, model: str | None) -> str | None:
    return message.model if model is None else model


def _in_order(asked: _Asked, answer: Answer, order: str | None) -> Answer:
    """The answer with its scores in the wanted order; None: in the order of the model's settings."""
    if order is None or not isinstance(answer, Prediction):
        return answer
    if order == "score":
        return answer._replace(order=None)
    description = asked.model.description
    labels = description.labels
    if description.zero_shot is not None:
        labels = asked.message.candidate_labels or description.zero_shot.labels
    return in_order_of(answer, {label: place for place, label in enumerate(labels)})


def _encode(asked: _Asked, answer: Answer, event_id: str) -> bytes:
    if isinstance(answer, RecordError):
        raise TextFailed(answer)
    return encode_answer(event_id, asked.message, asked.model.name, answer, datetime.now(UTC))


def _encode_item(asked: _Asked | RequestRefused, answer: Answer | None, order: str | None, event_id: str) -> bytes:
    if isinstance(asked, RequestRefused):
        error = asked
    else:
        assert answer is not None
        try:
            return _encode(asked, _in_order(asked, answer, order), event_id)
        except TextFailed as failed:
            error = failed
    return RequestError(reason=_reason(error), message=error.message).model_dump_json().encode()
