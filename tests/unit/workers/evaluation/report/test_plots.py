import re
from dataclasses import replace

import numpy as np
import pytest

from labelstream.workers.evaluation.fitting.reliability import calibration
from labelstream.workers.evaluation.predictions import Kind
from labelstream.workers.evaluation.report.plots import (
    has_label,
    histogram,
    label_texts,
    most_frequent,
    precision_recall_plot,
    regression_plot,
    reliability_plot,
    shortened,
)
from tests.support.made_predictions import made_predictions, made_regression


def test_most_frequent_labels_keep_their_order() -> None:
    made = replace(made_predictions(n=6, k=3), gold=np.array([2, 2, 2, 0, 1, 1]))
    assert label_texts(made).tolist() == [1, 2, 3]
    assert most_frequent(made, 2) == [1, 2]
    assert has_label(made, 1).tolist() == [False] * 4 + [True] * 2


@pytest.mark.parametrize("kind", [Kind.SINGLE_LABEL, Kind.MULTI_LABEL])
def test_histogram_counts_all_its_texts(kind: Kind) -> None:
    made = made_predictions(kind=kind)
    svg = histogram(made, 1, 0.7, "h")
    rows = made.scores.argmax(1) == 1 if kind is Kind.SINGLE_LABEL else np.ones(len(made), np.bool_)
    has = has_label(made, 1)[rows]
    names = ("right", "wrong") if kind is Kind.SINGLE_LABEL else ("with", "without")
    assert f"Scores of b: {has.sum()} {names[0]}, {(~has).sum()} {names[1]}" in svg
    assert "threshold 0.7" in svg


def test_plots_name_what_they_show() -> None:
    made = made_predictions()
    svg = reliability_plot([("before", calibration(made)), ("after", calibration(made))], "r")
    assert "Reliability: share of right decisions by score, before; after" in svg
    svg = precision_recall_plot(made, [0, 2], "p")
    assert "Precision against recall: a, c" in svg
    assert "Predicted against true numbers" in regression_plot(made_regression(), "n")


def test_dollars_in_a_label_are_no_formula() -> None:
    made = replace(made_predictions(), labels=("$x", "costs $5 and $6", r"\frac"))
    assert " costs $5 and $6<" in precision_recall_plot(made, [0, 1, 2], "p")


def test_long_labels_are_shortened() -> None:
    assert shortened("a\n b") == "a b"
    assert shortened("x" * 40) == "x" * 27 + "…"


def test_curve_of_a_label_with_an_underscore_is_named() -> None:
    made = replace(made_predictions(), labels=("_a", "b"))
    assert re.search(r">0\.\d{3} _a<", precision_recall_plot(made, [0, 1], "p"))
