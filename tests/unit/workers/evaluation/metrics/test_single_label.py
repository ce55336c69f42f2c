"""Metrics of exclusive labels equal scikit-learn's."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics

from labelstream.workers.evaluation.metrics import single_label
from tests.support.evaluated import single_label as drawn

TWO, MANY = ("no", "yes"), tuple(f"l{i:02d}" for i in range(40))


@pytest.mark.parametrize("labels", [TWO, ("no", "maybe", "yes"), MANY], ids=["2", "3", "40"])
def test_measure_equals_scikit_learn(labels: tuple[str, ...]) -> None:
    predictions = drawn(n=400, labels=labels)
    gold, scores, predicted = predictions.gold, predictions.scores, predictions.scores.argmax(1)
    found = single_label.measure(predictions)
    one_hot = np.eye(len(labels))[gold]
    wanted = {
        "accuracy": metrics.accuracy_score(gold, predicted),
        "matthews_correlation": metrics.matthews_corrcoef(gold, predicted),
        "cohen_kappa": metrics.cohen_kappa_score(gold, predicted),
        "loss": metrics.log_loss(gold, scores),
        "roc_auc": metrics.roc_auc_score(one_hot, scores, average="macro"),
        "average_precision": metrics.average_precision_score(one_hot, scores, average="macro"),
    }
    for average in ("macro", "micro", "weighted"):
        shares = metrics.precision_recall_fscore_support(gold, predicted, average=average, zero_division=0)  # type: ignore[arg-type]
        wanted |= dict(zip((f"{name}_{average}" for name in ("precision", "recall", "f1")), shares, strict=False))
    assert found.values == pytest.approx({f"eval_{name}": value for name, value in wanted.items()}, abs=1e-9)
    assert found.undefined == {}
    assert found.confusion is not None
    assert found.confusion.tolist() == metrics.confusion_matrix(gold, predicted).tolist()
    of_labels = metrics.precision_recall_fscore_support(gold, predicted, zero_division=0)  # type: ignore[arg-type]
    rows = np.array([(one.precision, one.recall, one.f1, one.texts) for one in found.per_label])
    assert pytest.approx(np.array(of_labels), abs=1e-9) == rows.T


def test_binary_roc_auc_equals_scikit_learn_s() -> None:
    predictions = drawn(labels=TWO)
    found = single_label.measure(predictions).values["eval_roc_auc"]
    assert found == pytest.approx(metrics.roc_auc_score(predictions.gold, predictions.scores[:, 1]), abs=1e-9)


def test_absent_label_counts_as_scikit_learn_counts() -> None:
    """A label that is neither true nor predicted changes no average; ranking needs a text of each label."""
    predictions = drawn(labels=TWO)
    wider = replace(
        predictions, labels=(*TWO, "never"), scores=np.column_stack([predictions.scores, np.zeros(len(predictions))])
    )
    two, three = single_label.measure(predictions), single_label.measure(wider)
    same = {name: value for name, value in two.values.items() if name not in ("eval_roc_auc", "eval_average_precision")}
    assert three.values == pytest.approx(same, abs=1e-12)
    assert three.undefined == dict.fromkeys(("eval_roc_auc", "eval_average_precision"), "no text has the label never")


def test_one_class_only_is_said() -> None:
    predictions = drawn(labels=TWO)
    found = single_label.measure(replace(predictions, gold=np.ones(len(predictions), np.int64)))
    why = "all texts have the label yes"
    assert found.undefined["eval_matthews_correlation"] == why
    assert found.undefined["eval_roc_auc"] == "no text has the label no"
    assert found.values["eval_cohen_kappa"] == 0.0
    assert not any(np.isnan(value) for value in found.values.values())


def test_model_that_predicts_one_label_has_no_correlation() -> None:
    predictions = drawn(labels=TWO)
    found = single_label.measure(replace(predictions, scores=np.tile([0.9, 0.1], (len(predictions), 1))))
    assert found.undefined == {"eval_matthews_correlation": "the model predicts one label only"}


def test_loss_of_certain_and_wrong_score_is_finite_as_in_scikit_learn() -> None:
    predictions = replace(drawn(n=2, labels=TWO), gold=np.array([0, 1]), scores=np.array([[0.0, 1.0], [0.0, 1.0]]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = metrics.log_loss([0, 1], predictions.scores)
    assert single_label.measure(predictions).values["eval_loss"] == pytest.approx(wanted, abs=1e-9)


def test_coverage_of_thresholds_is_share_of_accepted_texts() -> None:
    predictions = drawn()
    best = predictions.scores.max(1)
    accepted = (predictions.scores >= 0.6) & (predictions.scores == best[:, None])
    found = single_label.measure(replace(predictions, accepted=accepted)).values
    kept = best >= 0.6
    assert found["eval_coverage"] == pytest.approx(kept.mean())
    right = predictions.scores.argmax(1) == predictions.gold
    assert found["eval_accuracy_accepted"] == pytest.approx(right[kept].mean())
    none = single_label.measure(replace(predictions, accepted=np.zeros_like(accepted)))
    assert none.undefined["eval_accuracy_accepted"] == "no text has an accepted label"


def test_resampled_metrics_equal_scikit_learn_for_each_resample() -> None:
    """Drawing cells of the confusion matrix equals drawing texts: means and spreads agree."""
    predictions = drawn(n=200)
    found = single_label.resampled(predictions, 2_000, seed=1)
    rng = np.random.default_rng(2)
    predicted = predictions.scores.argmax(1)
    drawn_rows = [rng.integers(200, size=200) for _ in range(2_000)]
    wanted = [metrics.f1_score(predictions.gold[rows], predicted[rows], average="macro") for rows in drawn_rows[:300]]
    assert found["f1_macro"].mean() == pytest.approx(np.mean(wanted), abs=0.01)
    assert found["f1_macro"].std() == pytest.approx(np.std(wanted), rel=0.2)
    assert found["loss"].mean() == pytest.approx(single_label.losses(predictions).mean(), rel=0.02)
