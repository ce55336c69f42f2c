"""Shares of counts; the metrics modules compare the averages with scikit-learn's."""

import numpy as np

from labelstream.workers.evaluation.metrics.precision_recall import averaged, label_metrics, ratio


def test_ratio_by_zero_is_zero() -> None:
    assert ratio(np.array([1.0, 2.0]), np.array([0.0, 4.0])).tolist() == [0.0, 0.5]


def test_label_without_texts_counts_only_if_asked() -> None:
    counts = np.array([[4.0, 0.0]])
    assert averaged(counts, counts, counts)["f1_macro"].tolist() == [1.0]
    assert averaged(counts, counts, counts, every_label=True)["f1_macro"].tolist() == [0.5]


def test_label_metrics_keep_counts_and_ranking() -> None:
    (one,) = label_metrics(("a",), np.array([3]), np.array([4]), np.array([6]), [(0.9, None)])
    assert (one.precision, one.recall, one.f1, one.texts, one.predicted) == (0.5, 0.75, 0.6, 4, 6)
    assert (one.roc_auc, one.average_precision) == (0.9, None)
