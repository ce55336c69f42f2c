"""How often two ways to run a model say the same."""

from collections.abc import Sequence

from labelstream.workers.classifier import Answer, Prediction, Request
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.inference.backend import Backend
from labelstream.workers.engine.inference.predictor import Predictor
from labelstream.workers.engine.tasks import task_for


def agreement(description: ModelDescription, one: Backend, other: Backend, requests: Sequence[Request]) -> float:
    """The share of the requests that `one` answers and to which `other` gives the same labels, as its users see them:
    the best one, or those that reach their thresholds.

    Raises ValueError where there is none, InferenceError.
    """
    pairs = zip(_said(description, one, requests), _said(description, other, requests), strict=True)
    same = [a == b for a, b in pairs if a is not None]
    if not same:
        raise ValueError("none of the texts can be answered")
    return sum(same) / len(same)


def _said(
    description: ModelDescription, backend: Backend, requests: Sequence[Request]
) -> list[str | frozenset[str] | None]:
    prepared = task_for(description).prepare(requests)
    asked = len(prepared.packed.lengths) > 0
    predictor = Predictor(description, backend)
    scored = predictor.predict(prepared.packed, prepared.width) if asked else None
    return list(map(_labels, prepared.answers(scored)))


def _labels(answer: Answer) -> str | frozenset[str] | None:
    if not isinstance(answer, Prediction):
        return None
    return answer.labels[0] if answer.accepted is None else frozenset(answer.accepted)
