"""From requests to sequences and back to answers: one bad request never harms another."""

from dataclasses import replace

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from tests.models import make_tokenizer
from workers.classifier import Fault, Prediction, RecordError, Request
from workers.engine.answers import predictions
from workers.engine.description import Activation, ModelDescription
from workers.engine.packed import ScoredSequences
from workers.engine.tasks import task_for

DESCRIPTION = ModelDescription(
    "m", "rev", "text-classification", ("a", "b", "c"), Activation.SOFTMAX, 16, 2,
    make_tokenizer("bert").backend_tokenizer.to_str(),
)  # fmt: skip
TASK = task_for(DESCRIPTION)


def scored_of(n: int, k: int, errors: dict[int, RecordError] | None = None) -> ScoredSequences:
    ids = np.array([[(row + i) % 3 for i in range(k)] for row in range(n)], np.int32).reshape(n, k)
    scores = np.array([[0.5 / (i + 1) for i in range(k)]] * n, np.float32).reshape(n, k)
    return ScoredSequences(ids, scores, errors or {})


def test_each_request_gets_its_own_top_k() -> None:
    requests = [Request("good"), Request("bad", top_k=1), Request("x", "y", 3), Request("good", top_k=99)]
    prepared = TASK.prepare(requests)
    assert prepared.width == 3
    answers = prepared.answers(scored_of(4, 3))
    assert [one.labels for one in answers if isinstance(one, Prediction)] == [
        ("a", "b"), ("b",), ("c", "a", "b"), ("a", "b", "c"),
    ]  # fmt: skip
    assert answers[1] == Prediction(("b",), (0.5,), int(prepared.packed.lengths[1]), False, "rev")


def test_what_cannot_be_answered_is_refused_in_its_place() -> None:
    requests = [
        Request("good"), Request("x", candidate_labels=("y",)), Request("lone \ud800"), Request("bad", top_k=0),
        Request("good", "pair \udfff"), Request("good"),
    ]  # fmt: skip
    prepared = TASK.prepare(requests)
    answers = prepared.answers(scored_of(2, 2))
    faults = [one.fault if isinstance(one, RecordError) else None for one in answers]
    assert faults == [
        None, Fault.INVALID_LABELS, Fault.INVALID_MESSAGE, Fault.INVALID_MESSAGE, Fault.INVALID_MESSAGE, None,
    ]  # fmt: skip
    messages = [one.message for one in answers if isinstance(one, RecordError)]
    assert messages[0] == "the task text-classification takes no candidate_labels"
    assert not any("lone" in message or "pair" in message for message in messages)


def test_nothing_left_to_run_needs_no_model() -> None:
    prepared = TASK.prepare([Request("x", candidate_labels=())])
    assert len(prepared.packed.lengths) == 0
    (error,) = prepared.answers(None)
    assert isinstance(error, RecordError)


def test_a_text_without_a_token_is_refused_where_no_special_tokens_are_added() -> None:
    bare = Tokenizer(models.WordLevel({"good": 0, "?": 1}, unk_token="?"))
    bare.pre_tokenizer = pre_tokenizers.Whitespace()
    description = replace(DESCRIPTION, tokenizer_json=bare.to_str())
    prepared = task_for(description).prepare([Request("good"), Request(" "), Request("bad good")])
    assert prepared.packed.ids.tolist() == [0, 1, 0]
    assert prepared.rejected == {1: RecordError(Fault.INVALID_MESSAGE, "the text has no tokens")}


def test_rows_that_fail_are_record_errors() -> None:
    boom = RecordError(Fault.INFERENCE_FAILED, "boom", attempts=7)
    answers = predictions(scored_of(3, 2, {1: boom}), "abc", [3] * 3, [False, False, True], [2] * 3, "rev")
    assert answers[1] == boom
    assert answers[2] == Prediction(("c", "a"), (0.5, 0.25), 3, True, "rev")


def test_answers_of_other_sequences_are_refused() -> None:
    prepared = TASK.prepare([Request("good")] * 3)
    for scored in (scored_of(2, 2), scored_of(4, 2), None):
        with pytest.raises(ValueError, match=r"answers for|belong together"):
            prepared.answers(scored)
