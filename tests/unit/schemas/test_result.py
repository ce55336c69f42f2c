"""Results fit their JSON Schema, and wrong results are refused."""

import json
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from labelstream.schemas.export import json_schema
from labelstream.schemas.result import RESULT, ClassificationResult


def result(**change: Any) -> dict[str, Any]:
    return {
        "task": "text-classification",
        "event_id": "p/t/0/1",
        "id": None,
        "model": "m",
        "model_revision": "r",
        "label": "B",
        "score": 0.75,
        "scores": [{"label": "B", "score": 0.75}, {"label": "A", "score": 0.25}],
        "labels": ["B"],
        "abstained": False,
        "tokens": 3,
        "truncated": False,
        "source": {"topic": "t", "partition": 0, "offset": 1, "timestamp_ms": -1},
        "metadata": None,
        "classified_at": datetime.now(UTC),
        **change,
    }


def test_result_fits_its_schema() -> None:
    value = json.loads(RESULT.dump_json(ClassificationResult.model_validate(result())))
    jsonschema.validate(value, json_schema("result"))
    assert value["schema_version"] == 1
    assert value["task"] == "text-classification"
    assert list(value)[:4] == ["schema_version", "event_id", "task", "id"]


def other(task: str, **own: Any) -> dict[str, Any]:
    """A result of another task."""
    shared = ("event_id", "id", "model", "model_revision", "tokens", "truncated", "source", "metadata", "classified_at")
    return {"task": task, **{name: result()[name] for name in shared}, **own}


def test_results_of_other_tasks_fit_the_schema() -> None:
    fill = {"token": "good", "token_id": 7, "score": 0.5}
    for value in (other("fill-mask", masks=[[fill], [fill, fill]]), other("feature-extraction", embedding=[0.5, -1.0])):
        written = json.loads(RESULT.dump_json(RESULT.validate_python(value)))
        jsonschema.validate(written, json_schema("result"))
        assert list(written)[:4] == ["schema_version", "event_id", "task", "id"]


@pytest.mark.parametrize(
    "wrong",
    [
        other("fill-mask", masks=[]),
        other("fill-mask", masks=[[]]),
        other("fill-mask", embedding=[1.0]),
        other("feature-extraction", embedding=[]),
        other("feature-extraction", embedding=[float("inf")]),
        other("fill-mask", masks=[[{"token": "a", "token_id": -1, "score": 0.5}]]),
        other("text-classification"),
        other("summarization", embedding=[1.0]),
    ],
)
def test_wrong_result_of_another_task_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RESULT.validate_python(wrong)


@pytest.mark.parametrize(
    "change",
    [
        {"label": "A"},
        {"score": 0.5},
        {"score": float("nan")},
        {"scores": []},
        {"tokens": 0},
        {"tokens": "3"},
        {"scores": [{"label": "B", "score": 0.75}, {"label": "A", "score": 0.9}]},
        {"extra": 1},
        {"classified_at": datetime(2026, 1, 1)},
        {"labels": []},
        {"abstained": True},
        {"task": "summarization"},
    ],
)
def test_wrong_classification_result_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ClassificationResult.model_validate(result(**change))


def test_scores_in_the_order_of_the_model_are_told() -> None:
    scores = [{"label": "A", "score": 0.25}, {"label": "B", "score": 0.75}]
    found = json.loads(RESULT.dump_json(RESULT.validate_python(result(scores=scores, scores_order="model"))))
    jsonschema.validate(found, json_schema("result"))
    assert found["scores_order"] == "model"
    with pytest.raises(ValidationError):
        RESULT.validate_python(result(scores=scores))
    with pytest.raises(ValidationError):
        RESULT.validate_python(result(label="A", score=0.25, scores=scores, scores_order="model"))
