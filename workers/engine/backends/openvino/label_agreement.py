"""Measures how often two backends give a text the same labels."""

from collections.abc import Sequence

from labelstream.workers.classifier import Answer, Prediction, Request
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.inference.backend import Backend
from labelstream.workers.engine.inference.predictor import Predictor
from labelstream.workers.engine.tasks import task_for


def agreement(description: ModelDescription, one: Backend, other: Backend, requests: Sequence[Request]) -> float:
    """Of the requests that `one` answers, the share to which `other` gives the same labels, 0 to 1.

    Compares the best label, or the accepted labels if the model has thresholds. Raises ValueError if `one` answers no
    request, and InferenceError.
    """
    pairs = zip(_labels_by(description, one, requests), _labels_by(description, other, requests), strict=True)
    same = [a == b for a, b in pairs if a is not None]
    if not same:
        raise ValueError("none of the texts can be answered")
    return sum(same) / len(same)


def _labels_by(
    description: ModelDescription, backend: Backend, requests: Sequence[Request]
) -> list[str | frozenset[str] | None]:
    prepared = task_for(description).prepare(requests)
    has_sequences = len(prepared.packed.lengths) > 0
    predictor = Predictor(description, backend)
    scored = predictor.predict(prepared.packed, prepared.width) if has_sequences else None
    return list(map(_labels, prepared.answers(scored)))


def _labels(answer: Answer) -> str | frozenset[str] | None:
    if not isinstance(answer, Prediction):
        return None
    return answer.labels[0] if answer.accepted is None else frozenset(answer.accepted)
