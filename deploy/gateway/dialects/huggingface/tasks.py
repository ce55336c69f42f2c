"""Requests of each task, and answers in the shapes of transformers' pipelines."""

import re
from collections.abc import Sequence
from typing import Any

from typing_extensions import TypedDict  # pydantic needs this one below Python 3.12

from labelstream.deploy.gateway.dialects.huggingface.bodies import InferenceBody, Parameters, TextPair
from labelstream.workers.classifier import Answered, Embedding, MaskFill, Prediction, Request
from labelstream.workers.engine.description import ModelDescription, TaskName
from labelstream.workers.engine.tasks.base import label_limit

DEFAULT_FILLS = 5  # FillMaskPipeline's default
_CLIENT = re.compile(r"\bhf_hub/(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?")
_READS_LABELS_AND_SCORES = (1, 1, 5)  # huggingface_hub before this version reads one object for a text


class LabelScore(TypedDict):
    label: str
    score: float


class Labels(TypedDict):
    """A zero-shot answer for huggingface_hub before 1.1.5."""

    sequence: str
    labels: list[str]
    scores: list[float]


class TokenFill(TypedDict):
    score: float
    token: int
    token_str: str
    sequence: str


def requests_of(body: InferenceBody, description: ModelDescription) -> list[Request]:
    """One request for each text. The engine refuses parameters of another task."""
    given = body.chosen
    top_k = given.top_k
    if top_k is None:
        top_k = 1 if given.return_all_scores is False else _top_k(description)
    plain = Request(
        "",
        None,
        top_k,
        _texts(given.candidate_labels, separator=","),
        given.hypothesis_template,
        given.multi_label,
        given.function_to_apply,
        _texts(given.targets),
        True if description.task == TaskName.FILL_MASK else None,
        given.dimensions,
        given.normalize,
    )
    return [plain._replace(text=text, text_pair=pair) for text, pair in map(_pair, body.texts)]


def tasks_of(given: Parameters) -> Sequence[TaskName]:
    """The tasks of a request that names neither model nor task: those that take its parameters."""
    if given.candidate_labels is not None:
        return (TaskName.ZERO_SHOT,)
    if given.targets is not None:
        return (TaskName.FILL_MASK,)
    if given.normalize is not None or given.dimensions is not None:
        return (TaskName.EMBEDDING,)
    return (TaskName.TEXT_CLASSIFICATION,) if given.function_to_apply is not None else tuple(TaskName)


def answer_of(body: InferenceBody, task: str, answers: Sequence[Answered], user_agent: str) -> list[Any]:
    """The JSON value for the answers to all texts of `body`. `user_agent`: the client's header."""
    if task == TaskName.ZERO_SHOT and _reads_one_object(user_agent):
        every: list[Any] = [_labels(_pair(text)[0], answer) for text, answer in zip(body.texts, answers, strict=True)]
    else:
        every = [_value(answer) for answer in answers]
    # A classifier answers one text as it answers a list, and so does text-embeddings-inference.
    nested = isinstance(body.inputs, list) or task in (TaskName.TEXT_CLASSIFICATION, TaskName.EMBEDDING)
    return every if nested else every[0]


def _top_k(description: ModelDescription) -> int:
    """All labels of a classifier that a request may ask for; a mask gets fewer tokens."""
    if description.task == TaskName.FILL_MASK:
        return DEFAULT_FILLS
    return label_limit(description)


def _texts(given: list[str] | str | None, separator: str | None = None) -> tuple[str, ...] | None:
    if not isinstance(given, str):
        return None if given is None else tuple(given)
    return tuple(label.strip() for label in given.split(separator) if label.strip()) if separator else (given,)


def _pair(text: str | TextPair) -> tuple[str, str | None]:
    return (text.text, text.text_pair) if isinstance(text, TextPair) else (text, None)


def _reads_one_object(user_agent: str) -> bool:
    found = _CLIENT.search(user_agent)
    return found is not None and tuple(int(part or 0) for part in found.groups()) < _READS_LABELS_AND_SCORES


def _value(answer: Answered) -> list[Any]:
    if isinstance(answer, Prediction):
        return [LabelScore(label=label, score=score) for label, score in zip(answer.labels, answer.scores, strict=True)]
    return list(answer.vector) if isinstance(answer, Embedding) else _fills(answer)


def _labels(text: str, answer: Answered) -> Labels:
    assert isinstance(answer, Prediction)
    return Labels(sequence=text, labels=list(answer.labels), scores=list(answer.scores))


def _fills(answer: MaskFill) -> list[Any]:
    """The fills of the only mask, or of each mask."""
    masks = [
        [
            TokenFill(score=fill.score, token=fill.token_id, token_str=fill.token, sequence=sequence)
            for fill, sequence in zip(fills, sequences, strict=True)
        ]
        for fills, sequences in zip(answer.masks, answer.sequences or (), strict=True)
    ]
    return masks[0] if len(masks) == 1 else masks
