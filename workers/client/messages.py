"""Requests of the gateway as messages, and its results as answers. No HTTP."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypedDict

from labelstream.workers.classifier import Answer, Embedding, Fault, Fill, MaskFill, Prediction, RecordError, Request
from labelstream.workers.engine.requests import requests_of
from labelstream.workers.errors import GatewayError

ALL_LABELS = 2**31 - 1  # above the number of any model's labels
MAX_TEXTS, MAX_BYTES = 256, 1_048_576  # of one request: below the gateway's default bounds
Order = Literal["model", "score"]
_ENGINE_ONLY = ("function_to_apply", "targets", "sequences", "dimensions", "normalize")  # no fields of a message
_FAULTS = {fault.value: fault for fault in Fault}


class LabelScore(TypedDict):
    """A label with its score."""

    label: str
    score: float


def requests_for(data: str | Sequence[str], top_k: int | None) -> list[Request]:
    """Requests for the labels of a text or of each text, `top_k` or all. Raises TypeError."""
    texts = [data] if isinstance(data, str) else data
    return [request._replace(top_k=top_k or ALL_LABELS) for request in requests_of(texts, "data")]


def labels_for(data: str | Sequence[str], results: Sequence[Mapping[str, Any]]) -> Any:
    """Labels and scores of the results: a list for a text, a list of lists for texts. Raises as `scores_of`."""
    found = [scores_of(result, f"data[{i}]") for i, result in enumerate(results)]
    return found[0] if isinstance(data, str) else found


def message_of(request: Request | str) -> dict[str, Any]:
    """The fields of a message, without those that the request leaves open.

    Raises ValueError for an option that the engine alone has.
    """
    if isinstance(request, str):
        return {"text": request}
    found = {name: value for name, value in request._asdict().items() if value is not None}
    for name in _ENGINE_ONLY:
        if name in found:
            raise ValueError(f"Request.{name} is an option of Engine; leave it out for a gateway")
    return found


def bodies_of(messages: Sequence[Mapping[str, Any]]) -> Iterator[bytes]:
    """JSON lists of all messages in order, each of at most MAX_TEXTS messages and, with more than one, MAX_BYTES."""
    batch: list[bytes] = []
    size = 0
    for message in messages:
        encoded = json.dumps(message).encode()
        if batch and (len(batch) == MAX_TEXTS or size + len(encoded) > MAX_BYTES):
            yield b"[%b]" % b",".join(batch)
            batch, size = [], 0
        batch.append(encoded)
        size += len(encoded) + 1
    if batch:
        yield b"[%b]" % b",".join(batch)


def answer_of(result: Mapping[str, Any]) -> Answer:
    """The answer in a result, or in the error of a message."""
    if "reason" in result:
        fault = _FAULTS.get(result["reason"], Fault.INVALID_MESSAGE)
        return RecordError(fault, result["message"])
    common = (result["tokens"], result["truncated"], result["model_revision"])
    if "embedding" in result:
        return Embedding(tuple(result["embedding"]), *common)
    if "masks" in result:
        masks = tuple(
            tuple(Fill(one["token"], one["token_id"], one["score"]) for one in mask) for mask in result["masks"]
        )
        return MaskFill(masks, *common)
    scores, order = result["scores"], None
    if result.get("scores_order") == "model":
        by_score = sorted(range(len(scores)), key=lambda i: -scores[i]["score"])
        order = tuple(sorted(range(len(scores)), key=lambda i: by_score[i]))
        scores = [scores[i] for i in by_score]
    labels, values = tuple(one["label"] for one in scores), tuple(one["score"] for one in scores)
    return Prediction(labels, values, *common, result["task"], tuple(result["labels"]), order)


def scores_of(result: Mapping[str, Any], place: str) -> list[LabelScore]:
    """Labels and scores of a result. Raises GatewayError for the error of a message, and for another task."""
    if "reason" in result:
        raise GatewayError(f"{place}: {result['message']}", reason=result["reason"])
    if "scores" not in result:
        raise GatewayError(f"model {result['model']} does {result['task']}; call classify for its answers")
    return result["scores"]
