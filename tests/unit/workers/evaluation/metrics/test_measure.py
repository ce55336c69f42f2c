"""All metrics of one model, with intervals and speed, named as run_glue names them."""

import builtins
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labelstream.workers.errors import ConfigError, EvaluationError
from labelstream.workers.evaluation.metrics.glue import TASKS
from labelstream.workers.evaluation.metrics.measure import measure, require_packages
from labelstream.workers.evaluation.predictions import Predictions
from tests.support.evaluated import multi_label, regression, single_label


@pytest.mark.parametrize(
    "predictions", [single_label(), multi_label(), regression()], ids=["single", "multi", "numbers"]
)
def test_intervals_hold_the_value_and_are_seeded(predictions: Predictions) -> None:
    found = measure(predictions, resamples=200, seed=1)
    assert set(found.values) - set(found.intervals) <= {
        "eval_roc_auc",
        "eval_average_precision",
        "eval_runtime",
        "eval_samples",
        "eval_samples_per_second",
    }
    for name, (low, high) in found.intervals.items():
        assert low <= found.values[name] <= high, name
    assert measure(predictions, resamples=200, seed=1).intervals == found.intervals
    assert measure(predictions, resamples=200, seed=2).intervals != found.intervals
    assert measure(predictions, resamples=0).intervals == {}


def test_speed_has_the_names_of_run_glue() -> None:
    found = measure(single_label(n=300), resamples=0).values
    assert (found["eval_runtime"], found["eval_samples"], found["eval_samples_per_second"]) == (2.0, 300.0, 150.0)


def test_labels_without_texts_or_predictions_are_noted() -> None:
    predictions = single_label(labels=("a", "b", "c"))
    scores = predictions.scores * [1.0, 1.0, 0.0]
    found = measure(replace(predictions, gold=np.where(predictions.gold == 0, 1, predictions.gold), scores=scores))
    assert found.notes == [
        "no text has the label a: recall counts as 0",
        "the model never predicts c: precision counts as 0",
    ]


def test_mismatched_half_of_mnli_has_a_suffix() -> None:
    labels = ("entailment", "neutral", "contradiction")
    found = measure(single_label(labels=labels), TASKS["mnli-mm"], resamples=10)
    assert {"eval_accuracy_mm", "eval_loss_mm", "eval_samples_mm"} <= set(found.values)
    assert "eval_accuracy_mm" in found.intervals
    assert "eval_accuracy" not in found.values


def test_task_of_another_kind_is_refused() -> None:
    with pytest.raises(EvaluationError, match=r"^--glue stsb needs regression, and the model is for single_label"):
        measure(single_label(), TASKS["stsb"])


def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any, **named: Any) -> Any:
        if name == "sklearn.metrics":
            raise ImportError(name="sklearn")
        return real(name, *more, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"needs the package sklearn.*pip install 'labelstream\[evaluate\]'"):
        require_packages()
