"""Has a model answer labeled texts, by the engine of the stream, and collects what it says as arrays."""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.classifier import Answer, Prediction, RecordError, Request
from labelstream.workers.engine.description import Activation, ModelDescription, TaskName
from labelstream.workers.errors import EvaluationError
from labelstream.workers.evaluation.examples import Examples
from labelstream.workers.evaluation.gold import gold_of
from labelstream.workers.evaluation.predictions import Kind, Predictions

TEXTS_PER_CALL = 4_096  # sorted by length together, which saves padding
_IN_FLIGHT = 2  # calls: the next one is tokenized while the model runs
_TINY = np.finfo(np.float32).tiny
_LARGEST = 1.0 - 2.0**-25  # between the largest float32 below 1, and 1


class Model(Protocol):
    """What inference needs of an `Engine`."""

    description: ModelDescription

    def submit(self, requests: Sequence[Request], /) -> "Future[list[Answer]]": ...


class Outcome(NamedTuple):
    """`predictions`: of the answered texts, whose indexes among the examples are `rows`. `refused`: index -> reason.

    `by_number`: labels that the data names by number, by that number.
    """

    predictions: Predictions
    rows: NDArray[np.int64]
    refused: Mapping[int, str]
    by_number: Mapping[int, str]


def kind_of(description: ModelDescription) -> Kind:
    """What the scores of a model mean. Raises EvaluationError for a task or head without labels to compare."""
    task = TaskName(description.task)
    if task is TaskName.ZERO_SHOT:
        settings = description.zero_shot
        independent = settings is None or settings.multi_label or len(settings.labels) == 1
        return Kind.MULTI_LABEL if independent else Kind.SINGLE_LABEL
    if task is not TaskName.TEXT_CLASSIFICATION:
        raise EvaluationError(
            f"{description.source}: task {task} has no labels to compare with; give a model with a classification head"
        )
    if description.activation is Activation.NONE and len(description.labels) != 1:
        raise EvaluationError(
            f"{description.source}: a regression with {len(description.labels)} outputs; give a model with one output, "
            "or set problem_type=single_label_classification"
        )
    if description.activation is Activation.SOFTMAX and len(description.labels) == 1:
        raise EvaluationError(f"{description.source}: the model has one label only; give a model with several labels")
    return {
        Activation.SOFTMAX: Kind.SINGLE_LABEL,
        Activation.SIGMOID: Kind.MULTI_LABEL,
        Activation.NONE: Kind.REGRESSION,
    }[description.activation]


def labels_of(description: ModelDescription) -> Sequence[str]:
    """The labels of the answers: for zero-shot the candidates, else the model's."""
    return description.labels if description.zero_shot is None else description.zero_shot.labels


def predict(
    model: Model,
    name: str,
    examples: Examples,
    label_map: Mapping[str, str] | None = None,
    advance: Callable[[int], object] = lambda texts: None,
) -> Outcome:
    """The predictions of `model`, which the user calls `name`, for `examples`.

    Load the model with `top_k=None`, so that each answer has all scores. `advance`: called with the number of newly
    answered texts. Raises EvaluationError if labels do not fit the model or no text has an answer, InferenceError if
    the model fails.
    """
    description = model.description
    kind, labels = kind_of(description), labels_of(description)
    gold = gold_of(examples, kind, labels, label_map)  # before the work
    started = time.perf_counter()
    answers = _answers(model, [Request(text, pair) for text, pair in examples.texts], advance)
    runtime_s = time.perf_counter() - started
    rows = np.array([i for i, answer in enumerate(answers) if isinstance(answer, Prediction)], np.int64)
    refused = {i: answer.message for i, answer in enumerate(answers) if isinstance(answer, RecordError)}
    if not len(rows):
        first = next(iter(refused), 0)
        raise EvaluationError(f"the model answers no text; {examples.places[first]}: {refused[first]}")
    given: list[Any] = [answers[row] for row in rows]
    scores, accepted = _scores(given, labels)
    predictions = Predictions(
        model=name,
        task=TaskName(description.task),
        kind=kind,
        labels=() if kind is Kind.REGRESSION else tuple(labels),
        gold=gold.values[rows],
        scores=scores[:, 0] if kind is Kind.REGRESSION else scores,
        logits=_logits(scores, description, kind),
        texts=[examples.texts[row] for row in rows],
        truncated=np.array([answer.truncated for answer in given], np.bool_),
        runtime_s=runtime_s,
        accepted=None if kind is Kind.REGRESSION else accepted,
    )
    return Outcome(predictions, rows, refused, gold.by_number)


def _answers(model: Model, requests: list[Request], advance: Callable[[int], object]) -> list[Answer]:
    answers: list[Answer] = []
    pending: deque[Future[list[Answer]]] = deque()
    for first in range(0, len(requests), TEXTS_PER_CALL):
        pending.append(model.submit(requests[first : first + TEXTS_PER_CALL]))
        if len(pending) == _IN_FLIGHT:
            answers += _result(pending.popleft(), advance)
    while pending:
        answers += _result(pending.popleft(), advance)
    return answers


def _result(future: "Future[list[Answer]]", advance: Callable[[int], object]) -> list[Answer]:
    answers = future.result()
    advance(len(answers))
    return answers


def _scores(
    answers: Sequence[Prediction], labels: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
    """[n, k] scores in the order of `labels`, and [n, k] whether each label is accepted; None without thresholds."""
    places = {label: i for i, label in enumerate(labels)}
    columns = np.array([[places[label] for label in answer.labels] for answer in answers], np.int64)
    scores = np.empty(columns.shape, np.float64)
    np.put_along_axis(scores, columns, np.array([answer.scores for answer in answers], np.float64), axis=1)
    if answers[0].accepted is None:
        return scores, None
    accepted = np.zeros(scores.shape, np.bool_)
    for row, answer in enumerate(answers):
        accepted[row, [places[label] for label in answer.accepted or ()]] = True
    return scores, accepted


def _logits(scores: NDArray[np.float64], description: ModelDescription, kind: Kind) -> NDArray[np.float64] | None:
    """The logits before the temperature; of a softmax up to a constant per row, which changes no softmax.

    None for regression, and for texts in windows, whose scores are of no single row of logits.
    """
    if kind is Kind.REGRESSION or description.windows is not None:
        return None
    logits = np.log(np.maximum(scores, _TINY))
    if kind is Kind.MULTI_LABEL:
        logits -= np.log1p(-np.minimum(scores, _LARGEST))
    return logits * description.temperature
