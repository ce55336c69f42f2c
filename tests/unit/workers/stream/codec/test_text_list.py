"""The outcome of a record from those of its texts."""

import pytest

from labelstream.schemas.dead_letter import Reason
from labelstream.workers.classifier import Fault, Prediction, RecordError
from labelstream.workers.stream.codec.rejection import DecodeError
from labelstream.workers.stream.codec.text_list import FailedTexts, TextAnswers, joined_outcome, texts_of

GOOD = Prediction(("yes",), (0.75,), 3, False, "r", "zero-shot-classification")
EMPTY = DecodeError(Reason.EMPTY_TEXT, "no text").rejection()
TOO_LARGE = RecordError(Fault.TOO_LARGE, "9 tokens")
TIMED_OUT = RecordError(Fault.TIMED_OUT, "no answer", attempts=3)


def test_one_answer_makes_a_result() -> None:
    outcome = joined_outcome([EMPTY, GOOD, TIMED_OUT])
    assert isinstance(outcome, TextAnswers)
    assert outcome.texts == (EMPTY, GOOD, TIMED_OUT)
    assert (outcome.task, outcome.abstained) == ("zero-shot-classification", False)
    assert joined_outcome([GOOD, GOOD._replace(accepted=())]).abstained  # type: ignore[union-attr]


def test_record_whose_texts_all_fail_has_the_models_fault() -> None:
    outcome = joined_outcome([EMPTY, TOO_LARGE, TIMED_OUT])
    assert isinstance(outcome, FailedTexts)
    rejection = outcome.rejection("m")
    assert (rejection.reason, rejection.attempts, rejection.model) == (Reason.TIMED_OUT, 3, "m")
    assert rejection.message == "text 3 of 3, which all fail: no answer"
    assert FailedTexts((EMPTY, TOO_LARGE)).rejection("m").reason is Reason.TOO_LARGE
    assert FailedTexts((TOO_LARGE,)).rejection("m").message == "text 1 of 1: 9 tokens"


def test_missing_outcome_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 outcomes for 2 texts"):
        joined_outcome([GOOD, None])


def test_single_outcome_is_that_of_one_text() -> None:
    assert texts_of(GOOD) == (GOOD,)
    assert texts_of(FailedTexts((TIMED_OUT,))) == (TIMED_OUT,)
