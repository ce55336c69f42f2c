"""The labels of a text: how many, and which are accepted."""

from dataclasses import replace

import numpy as np
import pytest

from labelstream.workers.classifier import Fault, Prediction, Request
from labelstream.workers.engine.description import Activation
from labelstream.workers.engine.ragged import ScoredSequences
from labelstream.workers.engine.tasks import task_for
from tests.support.descriptions import DESCRIPTION
from tests.support.scored import scored_of

TASK = task_for(DESCRIPTION)


def test_each_request_gets_its_own_top_k() -> None:
    requests = [Request("good"), Request("bad", top_k=1), Request("x", "y", 3), Request("good", top_k=99)]
    prepared = TASK.prepare(requests)
    assert prepared.width == 3
    answers = prepared.answers(scored_of(4, 3))
    assert [one.labels for one in answers if isinstance(one, Prediction)] == [
        ("a", "b"),
        ("b",),
        ("c", "a", "b"),
        ("a", "b", "c"),
    ]
    assert answers[1] == Prediction(("b",), (0.5,), int(prepared.packed.lengths[1]), False, "rev")


def test_top_k_above_the_limit_is_refused() -> None:
    task = task_for(replace(DESCRIPTION, labels=tuple(map(str, range(1_100)))))
    prepared = task.prepare([Request("good", top_k=1_000), Request("good", top_k=1_001), Request("good", top_k=0)])
    assert {i: error.fault for i, error in prepared.rejected.items()} == dict.fromkeys((1, 2), Fault.INVALID_MESSAGE)


def test_sigmoid_labels_are_independent() -> None:
    task = task_for(replace(DESCRIPTION, labels=("a", "b"), activation=Activation.SIGMOID, top_k=1))
    prepared = task.prepare([Request("good")])
    assert prepared.width == 2
    scored = ScoredSequences(np.array([[1, 0]], np.int32), np.array([[0.9, 0.6]], np.float32), {})
    (answer,) = prepared.answers(scored)
    assert isinstance(answer, Prediction)
    assert (answer.labels, answer.accepted) == (("b", "a"), ("b", "a"))


@pytest.mark.parametrize(("score", "accepted"), [(0.1, ()), (0.5, ("a",))])
def test_single_label_is_independent(score: float, accepted: tuple[str, ...]) -> None:
    task = task_for(replace(DESCRIPTION, labels=("a",), activation=Activation.SIGMOID, top_k=1))
    prepared = task.prepare([Request("good")])
    (answer,) = prepared.answers(ScoredSequences(np.array([[0]], np.int32), np.array([[score]], np.float32), {}))
    assert isinstance(answer, Prediction)
    assert (answer.labels, answer.accepted, answer.abstained) == (("a",), accepted, not accepted)


@pytest.mark.parametrize(
    ("labels", "activation"),
    [
        (("a", "b"), Activation.SOFTMAX),
        (("a",), Activation.NONE),
        (("a", "b"), Activation.NONE),
    ],
)
def test_softmax_labels_are_not_independent(labels: tuple[str, ...], activation: Activation) -> None:
    """The best label is the answer, whatever its score, and top_k labels are reported."""
    task = task_for(replace(DESCRIPTION, labels=labels, activation=activation, top_k=1))
    prepared = task.prepare([Request("good")])
    assert prepared.width == 1
    (answer,) = prepared.answers(ScoredSequences(np.array([[0]], np.int32), np.array([[0.1]], np.float32), {}))
    assert isinstance(answer, Prediction)
    assert (answer.labels, answer.accepted, answer.abstained) == (("a",), None, False)


def test_answer_knows_the_order_of_the_model() -> None:
    requests = [Request("good"), Request("bad", top_k=1), Request("good", top_k=99)]
    plain = task_for(DESCRIPTION).prepare(requests).answers(scored_of(3, 3))
    found = task_for(replace(DESCRIPTION, in_model_order=True)).prepare(requests).answers(scored_of(3, 3))
    for answer, other in zip(found, plain, strict=True):
        assert isinstance(answer, Prediction)
        assert answer._replace(order=None) == other
        assert answer.order is not None
        in_order = [answer.labels[place] for place in answer.order]
        assert in_order == sorted(answer.labels)
