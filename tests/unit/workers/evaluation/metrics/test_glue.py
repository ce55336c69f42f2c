"""GLUE's metrics and label numbers, by the rules of transformers' run_glue and the published definitions."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from labelstream.workers.errors import EvaluationError
from labelstream.workers.evaluation.metrics.glue import TASKS, by_number, glue_task, label_map
from labelstream.workers.evaluation.metrics.measure import measure
from tests.support.evaluated import regression, single_label


@pytest.mark.parametrize("name", ["cola", "mnli", "mnli-mm", "mrpc", "qnli", "qqp", "rte", "sst2", "wnli"])
def test_metrics_equal_the_published_definitions(name: str) -> None:
    """`glue_compute_metrics` of transformers: Matthews for CoLA, accuracy and F1 for MRPC and QQP, else accuracy."""
    task = TASKS[name]
    predictions = single_label(labels=task.labels)
    gold, predicted = predictions.gold, predictions.scores.argmax(1)
    found = measure(predictions, task, resamples=0).values
    suffix = "_mm" if name == "mnli-mm" else ""
    if name == "cola":
        wanted = {"eval_matthews_correlation": metrics.matthews_corrcoef(gold, predicted)}
    elif name in ("mrpc", "qqp"):
        accuracy, f1 = metrics.accuracy_score(gold, predicted), metrics.f1_score(gold, predicted)
        wanted = {"eval_accuracy": accuracy, "eval_f1": f1, "eval_combined_score": (accuracy + f1) / 2}
    else:
        wanted = {f"eval_accuracy{suffix}": metrics.accuracy_score(gold, predicted)}
    assert {key: found[key] for key in wanted} == pytest.approx(wanted, abs=1e-9)


def test_sts_b_has_both_correlations_and_their_mean() -> None:
    predictions = regression()
    pearson, spearman = (
        float(np.asarray(correlate(predictions.gold, predictions.scores))[0])
        for correlate in (stats.pearsonr, stats.spearmanr)
    )
    found = measure(predictions, TASKS["stsb"], resamples=0).values
    wanted = {"pearson": pearson, "spearmanr": spearman, "combined_score": (pearson + spearman) / 2}
    assert {key: found[f"eval_{key}"] for key in wanted} == pytest.approx(wanted, abs=1e-9)


def test_undefined_part_leaves_combined_score_undefined() -> None:
    predictions = regression()
    found = measure(replace(predictions, gold=np.zeros(len(predictions))), TASKS["stsb"], resamples=0)
    assert found.undefined["eval_combined_score"] == "pearson or spearmanr is undefined"


@pytest.mark.parametrize("name", ["SST-2", "sst2", "STS-B", "mnli_mismatched"])
def test_task_by_its_usual_names(name: str) -> None:
    assert glue_task(name).name in ("sst2", "stsb", "mnli-mm")


def test_unknown_task_lists_the_known() -> None:
    with pytest.raises(EvaluationError, match=r"^--glue: unknown task 'squad'; give one of cola, mnli, mnli-mm, mrpc"):
        glue_task("squad")


def test_label_numbers_go_by_name_if_all_names_agree() -> None:
    labels = ("CONTRADICTION", "ENTAILMENT", "NEUTRAL")
    found = label_map(TASKS["mnli"], labels)
    assert (found["0"], found["1"], found["2"]) == ("ENTAILMENT", "NEUTRAL", "CONTRADICTION")
    assert found["entailment"] == "ENTAILMENT"


def test_numbers_are_told_where_they_decide() -> None:
    assert by_number(TASKS["sst2"], ("LABEL_0", "LABEL_1")) == {0: "LABEL_0", 1: "LABEL_1"}
    assert by_number(TASKS["sst2"], ("Positive", "Negative")) == {}
    assert by_number(TASKS["stsb"], ("score",)) == {}


def test_label_numbers_go_by_number_if_names_differ() -> None:
    found = label_map(TASKS["sst2"], ("LABEL_0", "LABEL_1"))
    assert found == {"0": "LABEL_0", "negative": "LABEL_0", "1": "LABEL_1", "positive": "LABEL_1"}


def test_model_with_other_number_of_labels_is_refused() -> None:
    with pytest.raises(EvaluationError, match=r"^--glue mnli: the task has 3 labels \(ent.*\), and the model 2 \(a, b"):
        label_map(TASKS["mnli"], ("a", "b"))


def test_f1_is_of_label_one_wherever_the_model_has_it() -> None:
    predictions = single_label(labels=("equivalent", "not_equivalent"))
    found = measure(predictions, TASKS["mrpc"], resamples=0).values["eval_f1"]
    predicted = predictions.scores.argmax(1)
    assert found == pytest.approx(metrics.f1_score(predictions.gold, predicted, pos_label=0), abs=1e-9)
