"""Rows of label ids and scores become answers only if their lengths agree."""

import numpy as np
import pytest

from labelstream.workers.classifier import Fault, Prediction, RecordError
from labelstream.workers.engine.ragged import ScoredSequences
from labelstream.workers.engine.tasks.postprocess import by_label, predictions
from tests.support.scored import scored_of

SCORED = ScoredSequences(np.array([[1, 0, 2], [2, 1, 0]], np.int32), np.array([[3, 2, 1], [6, 5, 4]], np.float32), {})


def test_each_row_gets_its_own_number_of_labels() -> None:
    assert predictions(SCORED, "abc", [7, 8], [False, True], [1, 2], "r") == [
        Prediction(("b",), (3.0,), 7, False, "r"),
        Prediction(("c", "b"), (6.0, 5.0), 8, True, "r"),
    ]
    assert predictions(SCORED, "abc", [7, 8], [False, True], [2, 2], "r")[0] == Prediction(
        ("b", "a"), (3.0, 2.0), 7, False, "r"
    )
    assert predictions(SCORED, "abc", [7, 8], [False, True], [9, 9], "r")[1] == Prediction(
        ("c", "b", "a"), (6.0, 5.0, 4.0), 8, True, "r"
    )


def test_label_names_may_be_any_text() -> None:
    (first, _) = predictions(SCORED, ["", "long " * 99, "{}"], [1, 1], [False, False], [3, 3], "r")
    assert isinstance(first, Prediction)
    assert first.labels == ("long " * 99, "", "{}")


def test_failed_row_gives_its_error() -> None:
    error = RecordError(Fault.INFERENCE_FAILED, "x")
    answers = predictions(SCORED._replace(errors={1: error}), "abc", [7, 8], [False, True], [1, 1], "r")
    assert answers == [Prediction(("b",), (3.0,), 7, False, "r"), error]


def test_predictions_of_no_rows_are_empty() -> None:
    none = ScoredSequences(np.zeros((0, 3), np.int32), np.zeros((0, 3), np.float32), {})
    assert predictions(none, "abc", [], [], [], "r") == []


@pytest.mark.parametrize("wrong", range(4))
def test_rows_of_different_lengths_are_refused(wrong: int) -> None:
    parts: list[list[int]] = [[7, 8], [0, 1], [1, 1]]
    scored = SCORED
    if wrong < 3:
        parts[wrong] = parts[wrong][:1]
    else:
        scored = SCORED._replace(scores=SCORED.scores[:1])
    tokens, truncated, top_ks = parts
    with pytest.raises(ValueError, match="do not belong together"):
        predictions(scored, "abc", tokens, list(map(bool, truncated)), top_ks, "r")


def test_ranked_and_unranked_scores_are_told_apart() -> None:
    plain = SCORED._replace(label_ids=None)
    assert by_label(plain, 3) is plain.scores
    for scored, labels in ((SCORED, 3), (plain, 2), (plain, 4)):
        with pytest.raises(ValueError, match="not the scores of all"):
            by_label(scored, labels)
    with pytest.raises(ValueError, match="not ranked"):
        predictions(plain, "abc", [7, 8], [False, True], [1, 1], "r")


def test_rows_that_fail_are_record_errors() -> None:
    boom = RecordError(Fault.INFERENCE_FAILED, "boom", attempts=7)
    answers = predictions(scored_of(3, 2, {1: boom}), "abc", [3] * 3, [False, False, True], [2] * 3, "rev")
    assert answers[1] == boom
    assert answers[2] == Prediction(("c", "a"), (0.5, 0.25), 3, True, "rev")
