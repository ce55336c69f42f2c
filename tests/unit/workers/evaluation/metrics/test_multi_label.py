"""Metrics of independent labels equal scikit-learn's."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics

from labelstream.workers.evaluation.metrics import multi_label
from tests.support.evaluated import multi_label as drawn


@pytest.mark.parametrize("labels", [("a", "b"), tuple("abcdefghij")], ids=["2", "10"])
def test_measure_equals_scikit_learn(labels: tuple[str, ...]) -> None:
    predictions = drawn(labels=labels)
    gold, scores = predictions.gold, predictions.scores
    predicted = scores >= 0.5
    found = multi_label.measure(predictions)
    wanted = {
        "exact_match": metrics.accuracy_score(gold, predicted),
        "hamming_loss": metrics.hamming_loss(gold, predicted),
        "loss": np.mean([metrics.log_loss(gold[:, i], scores[:, i]) for i in range(len(labels))]),
        "roc_auc": metrics.roc_auc_score(gold, scores, average="macro"),
        "average_precision": metrics.average_precision_score(gold, scores, average="macro"),
    }
    for average in ("macro", "micro", "weighted"):
        shares = metrics.precision_recall_fscore_support(gold, predicted, average=average, zero_division=0)  # type: ignore[arg-type]
        wanted |= dict(zip((f"{name}_{average}" for name in ("precision", "recall", "f1")), shares, strict=False))
    assert found.values == pytest.approx({f"eval_{name}": value for name, value in wanted.items()}, abs=1e-9)
    of_labels = metrics.precision_recall_fscore_support(gold, predicted, zero_division=0)  # type: ignore[arg-type]
    rows = np.array([(one.precision, one.recall, one.f1, one.texts) for one in found.per_label])
    assert pytest.approx(np.array(of_labels), abs=1e-9) == rows.T


def test_single_independent_label_equals_binary_metrics() -> None:
    predictions = drawn(labels=("toxic",))
    gold, predicted = predictions.gold[:, 0], predictions.scores[:, 0] >= 0.5
    found = multi_label.measure(predictions).values
    for average in ("macro", "micro", "weighted"):
        assert found[f"eval_f1_{average}"] == pytest.approx(metrics.f1_score(gold, predicted), abs=1e-9)
    assert found["eval_exact_match"] == pytest.approx(metrics.accuracy_score(gold, predicted), abs=1e-9)


def test_decisions_are_those_of_the_thresholds() -> None:
    predictions = drawn()
    accepted = predictions.scores >= np.array([0.2, 0.5, 0.8])
    found = multi_label.measure(replace(predictions, accepted=accepted)).values
    assert found["eval_f1_macro"] == pytest.approx(metrics.f1_score(predictions.gold, accepted, average="macro"))


def test_label_of_no_text_is_said() -> None:
    predictions = drawn()
    gold = predictions.gold.copy()
    gold[:, 1] = False
    found = multi_label.measure(replace(predictions, gold=gold))
    assert found.undefined == dict.fromkeys(("eval_roc_auc", "eval_average_precision"), "no text has the label b")
    gold[:, 1] = True
    found = multi_label.measure(replace(predictions, gold=gold))
    assert found.undefined == {"eval_roc_auc": "each text has the label b"}


def test_resampled_metrics_are_centered_on_the_measured_ones() -> None:
    predictions = drawn(n=200)
    measured = multi_label.measure(predictions).values
    for name, values in multi_label.resampled(predictions, 1_000, seed=3).items():
        assert values.shape == (1_000,)
        assert values.mean() == pytest.approx(measured[f"eval_{name}"], abs=0.01), name
