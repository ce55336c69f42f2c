from dataclasses import replace

import pytest

from labelstream.deploy.gateway.served import WrongField
from labelstream.deploy.gateway.texts import TextFailed, all_answered, prompt_of, refuse_blank, refuse_labels
from labelstream.workers.classifier import Fault, Prediction, RecordError
from tests.support.task_descriptions import EMBEDDING

GOOD = Prediction(("a",), (1.0,), 3, False, "r")


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault.TOO_LARGE, 413),
        (Fault.TIMED_OUT, 504),
        (Fault.CRASHES_MODEL, 422),
        (Fault.INVALID_LABELS, 422),
        (Fault.INFERENCE_FAILED, 422),
    ],
)
def test_failed_text_has_the_status_of_its_fault(fault: Fault, status: int) -> None:
    error = TextFailed(RecordError(fault, "why"))
    assert (error.status, error.message, error.fault) == (status, "why", fault)


def test_first_failed_text_is_named_by_its_place() -> None:
    with pytest.raises(TextFailed, match=r"^inputs\[1\]: why$"):
        all_answered([GOOD, RecordError(Fault.TOO_LARGE, "why"), RecordError(Fault.TOO_LARGE, "other")], "inputs")


def test_answers_come_back_in_order() -> None:
    other = GOOD._replace(labels=("b",))
    assert all_answered([GOOD, other], "inputs") == [GOOD, other]


@pytest.mark.parametrize("blank", ["", " ", "\n\t\u2003"])
def test_blank_text_is_refused_by_its_place(blank: str) -> None:
    with pytest.raises(WrongField, match=r"^inputs\[1\]: the text is empty or blank$"):
        refuse_blank(["a", blank], "inputs")


def test_texts_with_characters_pass() -> None:
    refuse_blank(["a", " b "], "inputs")


@pytest.mark.parametrize(
    ("labels", "template", "problem"),
    [
        ([], None, "candidate_labels is empty"),
        (["a", "a"], None, "candidate labels repeat"),
        (["a", " "], None, "a candidate label is empty or blank"),
        (["a"] * 101, None, "101 candidate labels exceed"),
        (None, "x" * 257, "hypothesis_template is longer"),
        (["a", "b"], None, "labels x text characters exceed"),
    ],
)
def test_wrong_labels_are_refused(labels: list[str] | None, template: str | None, problem: str) -> None:
    with pytest.raises(WrongField, match=f"^{problem}"):
        refuse_labels(labels, template, ["a", "b" * 500_001])


def test_good_labels_pass() -> None:
    refuse_labels(["a", "b"], "This is {}.", ["text"])
    refuse_labels(None, None, [])


def test_prompt_is_that_of_its_name() -> None:
    description = replace(EMBEDDING, prompts={"query": "q: ", "passage": "p: "})
    assert (prompt_of(description, "query"), prompt_of(EMBEDDING, None)) == ("q: ", "")
    with pytest.raises(WrongField, match="prompt_name: unknown prompt; the model's prompts are query, passage"):
        prompt_of(description, "other")
    with pytest.raises(WrongField, match="the model's prompts are none"):
        prompt_of(EMBEDDING, "query")
