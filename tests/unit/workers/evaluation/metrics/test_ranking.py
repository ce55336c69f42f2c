"""ROC AUC and average precision of each label, and their macro averages."""

import numpy as np
import pytest

from labelstream.workers.evaluation.metrics.measurement import LabelMetrics, Measurement
from labelstream.workers.evaluation.metrics.ranking import add_ranking, ranking_of


def test_ranking_of_label_without_texts_or_without_rest_is_undefined() -> None:
    gold = np.array([[True, True, False], [False, True, False]])
    scores = np.array([[0.9, 0.8, 0.1], [0.2, 0.7, 0.3]])
    assert ranking_of(gold, scores) == [(1.0, 1.0), (None, 1.0), (None, None)]


def test_macro_average_is_the_mean_over_labels() -> None:
    rows = [LabelMetrics("a", 0, 0, 0, 1, 1, 0.5, 0.25), LabelMetrics("b", 0, 0, 0, 1, 1, 1.0, 0.75)]
    measured = Measurement(per_label=rows)
    add_ranking(measured)
    assert measured.values == {"eval_roc_auc": pytest.approx(0.75), "eval_average_precision": pytest.approx(0.5)}
