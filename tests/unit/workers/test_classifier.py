"""The value types between the stream and a classifier."""

import math
from typing import get_args

import pytest

from labelstream.schemas.dead_letter import Reason
from labelstream.workers.classifier import (
    MODEL_FAULTS,
    Answered,
    Embedding,
    Fault,
    MaskFill,
    Prediction,
    Progress,
    Request,
)


def prediction(accepted: tuple[str, ...] | None) -> Prediction:
    return Prediction(("a", "b"), (0.7, 0.3), 5, False, "r", accepted=accepted)


@pytest.mark.parametrize(("accepted", "abstained"), [(None, False), (("a",), False), ((), True)])
def test_model_abstains_where_no_label_is_accepted(accepted: tuple[str, ...] | None, abstained: bool) -> None:
    assert prediction(accepted).abstained is abstained


def test_every_answer_has_the_fields_of_all_results() -> None:
    answers = (prediction(None), MaskFill((), 5, True, "r"), Embedding((0.5,), 5, True, "r"))
    assert [answer.task for answer in answers] == ["text-classification", "fill-mask", "feature-extraction"]
    assert {type(answer) for answer in answers} == set(get_args(Answered))
    assert [(answer.tokens, answer.revision, answer.abstained) for answer in answers] == [(5, "r", False)] * 3


def test_every_fault_is_a_reason_of_a_dead_letter() -> None:
    assert {fault.value for fault in Fault} <= {reason.value for reason in Reason}
    assert {Fault.INFERENCE_FAILED, Fault.CRASHES_MODEL, Fault.TIMED_OUT} == MODEL_FAULTS


def test_request_options_default_to_none() -> None:
    assert set(Request("text")[1:]) == {None}


def test_progress_starts_at_minus_infinity() -> None:
    assert (Progress().at, Progress().kept) == (-math.inf, None)
