"""From requests to sequences and back to answers: a bad request does not affect others."""

from dataclasses import replace

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from labelstream.workers.classifier import Fault, Prediction, RecordError, Request
from labelstream.workers.engine.ragged import ScoredSequences
from labelstream.workers.engine.tasks import task_for
from labelstream.workers.errors import ModelError
from tests.support.descriptions import DESCRIPTION
from tests.support.scored import scored_of
from tests.support.task_descriptions import FILLS, NLI, PLAIN


def test_top_k_of_a_message_is_bounded() -> None:
    many = Request("[MASK]", top_k=1_001)
    prepared = task_for(FILLS).prepare([Request("[MASK]"), many, Request("[MASK]", top_k=1_000)])
    assert prepared.width == 1_000
    assert prepared.rejected == {
        1: RecordError(Fault.INVALID_MESSAGE, "top_k is 1001; for a model with 4000 labels the limit is 1000")
    }
    own = task_for(replace(FILLS, top_k=2_000)).prepare([many._replace(top_k=2_000)])  # the operator set a larger limit
    assert (own.width, own.rejected) == (2_000, {})
    few = task_for(PLAIN).prepare([many._replace(text="good")])  # a model with fewer labels
    assert (few.width, few.rejected) == (3, {})


def test_answers_and_errors_keep_request_order() -> None:
    task = task_for(NLI, 30)
    labels = ("a", "b", "c")
    prepared = task.prepare(
        [
            Request(text, candidate_labels=some)
            for text, some in (("good", labels[:1]), ("good " * 9, labels), ("bad", labels[1:2]))
        ]
    )
    first, second, third = prepared.answers(ScoredSequences(None, np.zeros((2, 3), np.float32), {}))
    assert isinstance(first, Prediction)
    assert isinstance(second, RecordError)
    assert isinstance(third, Prediction)
    assert (first.labels, second.fault, third.labels) == (("a",), Fault.TOO_LARGE, ("b",))


TASK = task_for(DESCRIPTION)


def test_unanswerable_request_is_refused_in_its_place() -> None:
    requests = [
        Request("good"),
        Request("x", candidate_labels=("y",)),
        Request("lone \ud800"),
        Request("bad", top_k=0),
        Request("good", "pair \udfff"),
        Request("bad"),
    ]
    prepared = TASK.prepare(requests)
    answers = prepared.answers(scored_of(2, 2))
    faults = [one.fault if isinstance(one, RecordError) else None for one in answers]
    assert faults == [
        None,
        Fault.INVALID_LABELS,
        Fault.INVALID_MESSAGE,
        Fault.INVALID_MESSAGE,
        Fault.INVALID_MESSAGE,
        None,
    ]
    messages = [one.message for one in answers if isinstance(one, RecordError)]
    assert messages[0] == "the task text-classification takes no candidate_labels"
    assert not any("lone \ud800" in message or "pair" in message for message in messages)


def test_call_of_refused_requests_needs_no_model() -> None:
    prepared = TASK.prepare([Request("x", candidate_labels=())])
    assert len(prepared.packed.lengths) == 0
    (error,) = prepared.answers(None)
    assert isinstance(error, RecordError)


def test_text_without_tokens_is_refused() -> None:
    bare = Tokenizer(models.WordLevel({"good": 0, "?": 1}, unk_token="?"))
    bare.pre_tokenizer = pre_tokenizers.Whitespace()
    description = replace(DESCRIPTION, tokenizer_json=bare.to_str())
    prepared = task_for(description).prepare([Request("good"), Request(" "), Request("bad good")])
    assert prepared.packed.ids.tolist() == [0, 1, 0]
    assert prepared.rejected == {1: RecordError(Fault.INVALID_MESSAGE, "the text has no tokens")}
    prepared = task_for(description).prepare([Request("good bad"), Request(" ")])
    assert prepared.rejected.keys() == {1}
    # An earlier refusal keeps its reason.
    prepared = task_for(description).prepare([Request(" "), Request(" ", top_k=0)])
    messages = [prepared.rejected[row].message for row in (0, 1)]
    assert messages == ["the text has no tokens", "top_k must be at least 1, not 0"]


def test_answers_of_other_sequences_are_refused() -> None:
    prepared = TASK.prepare([Request("good"), Request("bad"), Request("x")])
    for scored in (scored_of(2, 2), scored_of(4, 2), None):
        with pytest.raises(ValueError, match=r"answers for|belong together"):
            prepared.answers(scored)


@pytest.mark.parametrize(
    ("task", "problem"),
    [("fill-mask", "no mask token"), ("zero-shot-classification", "no labels of natural language inference")],
)
def test_description_without_task_data_is_refused(task: str, problem: str) -> None:
    with pytest.raises(ModelError, match=problem):
        task_for(replace(DESCRIPTION, task=task))
