"""A result of several texts, and its enrichment, by their schemas."""

import json
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest
from pydantic import TypeAdapter, ValidationError

from labelstream.schemas.answers import ANSWERS, ANSWERS_ENRICHMENT
from labelstream.schemas.export import json_schema

ANSWER: dict[str, Any] = {
    "model_revision": "r",
    "tokens": 3,
    "truncated": False,
    "label": "B",
    "score": 0.75,
    "scores": [{"label": "B", "score": 0.75}, {"label": "A", "score": 0.25}],
    "labels": ["B"],
    "abstained": False,
}
FAILED: dict[str, Any] = {"error": {"reason": "empty_text", "message": "no text"}, "text": " "}
ENRICHMENT: dict[str, Any] = {
    "event_id": "p/t/0/1",
    "task": "text-classification",
    "model": "m",
    "source": {"topic": "t", "partition": 0, "offset": 1, "timestamp_ms": -1},
    "classified_at": datetime.now(UTC),
    "answers": [ANSWER, FAILED],
}
RESULT = ENRICHMENT | {"id": 7, "metadata": None}


@pytest.mark.parametrize(
    ("name", "kind", "tree"), [("answers", ANSWERS, RESULT), ("answers-enrichment", ANSWERS_ENRICHMENT, ENRICHMENT)]
)
def test_answers_fit_their_schema(name: str, kind: TypeAdapter[Any], tree: dict[str, Any]) -> None:
    value = json.loads(kind.dump_json(kind.validate_python(tree)))
    jsonschema.validate(value, json_schema(name))
    assert value["answers"] == [ANSWER, FAILED]


@pytest.mark.parametrize(
    ("task", "own"),
    [
        ("fill-mask", {"masks": [[{"token": "a", "token_id": 1, "score": 0.5}]]}),
        ("feature-extraction", {"embedding": [0.5]}),
    ],
)
def test_each_task_has_answers_of_its_own(task: str, own: dict[str, Any]) -> None:
    answer = {"model_revision": "r", "tokens": 3, "truncated": False, **own}
    ANSWERS.validate_python(RESULT | {"task": task, "answers": [answer, FAILED]})
    with pytest.raises(ValidationError):
        ANSWERS.validate_python(RESULT | {"task": task})


@pytest.mark.parametrize(
    "wrong",
    [
        {"answers": []},
        {"answers": [{**ANSWER, "label": "A"}]},
        {"answers": [{**ANSWER, **FAILED}]},
        {"answers": [{"error": {"reason": "other", "message": ""}}]},
        {"tokens": 3},
        {"id": 1.5},
    ],
)
def test_wrong_answers_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ANSWERS.validate_python(RESULT | wrong)


def test_enrichment_has_nothing_of_the_record() -> None:
    with pytest.raises(ValidationError):
        ANSWERS_ENRICHMENT.validate_python(RESULT)
