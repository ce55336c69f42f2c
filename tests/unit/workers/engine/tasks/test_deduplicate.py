"""Equal requests of a call are computed once, and each gets the answer."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.workers.classifier import Answer, Fault, Prediction, RecordError, Request
from labelstream.workers.engine.description import Mask, ModelDescription, ZeroShot
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences
from labelstream.workers.engine.tasks import task_for
from labelstream.workers.engine.tasks.base import Prepared
from labelstream.workers.engine.tasks.deduplicate import Deduplicating
from tests.support.descriptions import DESCRIPTION

NLI = replace(
    DESCRIPTION,
    task="zero-shot-classification",
    labels=("contradiction", "entailment", "neutral"),
    ranked=False,
    zero_shot=ZeroShot(1, 0, ("x", "y")),
)
MASKS = replace(DESCRIPTION, task="fill-mask", mask=Mask("[MASK]", 4))
VECTORS = replace(DESCRIPTION, task="feature-extraction", labels=(), dimensions=2, ranked=False)
REFUSED = RecordError(Fault.INVALID_MESSAGE, "bad")
requests = st.builds(
    Request,
    st.sampled_from(["good", "bad", "", "good "]),
    st.sampled_from([None, "", "good"]),
    st.sampled_from([None, 1]),
    st.sampled_from([None, ("a",), ("b",)]),
    st.sampled_from([None, "{}"]),
    st.sampled_from([None, True, False]),
    targets=st.sampled_from([None, ("a",)]),
)


class Echo:
    """A task whose answer contains the request. Refuses the text "bad"."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def prepare(self, requests: Sequence[Request]) -> Prepared:
        self.asked += requests
        good = [request for request in requests if request.text != "bad"]
        packed = RaggedSequences(np.zeros(len(good), np.int32), np.ones(len(good), np.int32))
        rejected = {i: REFUSED for i, request in enumerate(requests) if request.text == "bad"}
        return Prepared(packed, 1, lambda scored: [echoed(request) for request in good], rejected)


def echoed(request: Request) -> Answer:
    return REFUSED if request.text == "bad" else Prediction((repr(request),), (1.0,), 1, False, "r")


def ask(task: Deduplicating, asked: Sequence[Request]) -> list[Answer]:
    prepared = task.prepare(asked)
    count = len(prepared.packed.lengths)
    scored = ScoredSequences(np.zeros((count, 1), np.int32), np.ones((count, 1), np.float32), {})
    return prepared.answers(scored if count else None)


@given(st.lists(requests))
def test_duplicate_requests_run_once_and_are_all_answered(asked: list[Request]) -> None:
    echo = Echo()
    assert ask(Deduplicating(echo), asked) == [echoed(request) for request in asked]
    assert echo.asked == list(dict.fromkeys(asked))


def test_distinct_requests_pass_through_unchanged() -> None:
    prepared = Deduplicating(Echo()).prepare([Request("good"), Request("good", top_k=1)])
    assert prepared.order is None


def test_unhashable_request_is_not_deduplicated() -> None:
    """A list instead of a tuple is not hashable."""
    listed: Any = ["a"]
    asked = [Request("good", candidate_labels=listed)] * 2 + [Request("good")]
    assert ask(Deduplicating(Echo()), asked) == [echoed(request) for request in asked]


@pytest.mark.parametrize("count", [1, 3])
def test_answers_of_other_requests_are_refused(count: int) -> None:
    prepared = Deduplicating(Echo()).prepare([Request("good"), Request("a"), Request("good")])
    wrong = prepared._replace(read=lambda scored: [REFUSED] * count)
    with pytest.raises(ValueError, match=f"{count} answers for 2 requests"):
        wrong.answers(ScoredSequences(np.zeros((2, 1), np.int32), np.ones((2, 1), np.float32), {}))


@pytest.mark.parametrize(
    ("description", "text", "sequences"),
    [(DESCRIPTION, "good", 1), (NLI, "good", 2), (VECTORS, "good", 1), (MASKS, "a [MASK]", 1)],
)
def test_every_task_deduplicates(description: ModelDescription, text: str, sequences: int) -> None:
    prepared = task_for(description).prepare([Request(text)] * 5)
    assert len(prepared.packed.lengths) == sequences
    assert prepared.order == [0] * 5


def test_merged_answers_equal_single_answers() -> None:
    prepared = task_for(DESCRIPTION).prepare([Request("good"), Request("a b"), Request("good")])
    assert len(prepared.packed.lengths) == 2
    scored = ScoredSequences(np.array([[0, 1], [1, 2]], np.int32), np.array([[0.5, 0.25]] * 2, np.float32), {})
    labels = [answer.labels for answer in prepared.answers(scored) if isinstance(answer, Prediction)]
    assert labels == [("a", "b"), ("b", "c"), ("a", "b")]
