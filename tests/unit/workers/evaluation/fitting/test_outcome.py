"""Decisions equal those of the engine; shares come with their intervals."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.workers.classifier import Prediction
from labelstream.workers.engine.tasks.thresholds import Acceptance
from labelstream.workers.evaluation.fitting.outcome import Proportion, accepted_labels, outcome
from labelstream.workers.evaluation.predictions import Kind, Predictions
from tests.support.descriptions import DESCRIPTION
from tests.support.made_predictions import made_predictions

SHARES = st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]) | st.floats(0, 1)


def engine_accepts(made: Predictions, thresholds: dict[str, float], threshold: float | None) -> list[set[str]]:
    acceptance = Acceptance(replace(DESCRIPTION, labels=made.labels, thresholds=thresholds, threshold=threshold))
    accepted: list[set[str]] = []
    for row in made.scores:
        order = np.argsort(-row, kind="stable")
        ranked = Prediction(tuple(made.labels[i] for i in order), tuple(row[order].tolist()), 1, False, "r", "t")
        exclusive = made.kind is Kind.SINGLE_LABEL
        answer = acceptance.of_best(ranked) if exclusive else acceptance.of_independent(ranked, 1)
        accepted.append(set(answer.accepted or ()))
    return accepted


@given(
    st.sampled_from([Kind.SINGLE_LABEL, Kind.MULTI_LABEL]),
    st.dictionaries(st.sampled_from("abc"), SHARES),
    st.none() | SHARES,
    st.booleans(),
)
def test_decisions_equal_the_engines(
    kind: Kind, thresholds: dict[str, float], threshold: float | None, ties: bool
) -> None:
    made = made_predictions(n=40, kind=kind)
    made = replace(made, scores=made.scores.round(1)) if ties else made
    accepted = accepted_labels(made, thresholds, threshold)
    found = [{label for label, yes in zip(made.labels, row, strict=True) if yes} for row in accepted]
    assert found == engine_accepts(made, thresholds, threshold)


def test_outcome_counts_abstained_and_right_texts() -> None:
    made = replace(
        made_predictions(n=4, k=2),
        scores=np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]]),
        gold=np.array([0, 1, 1, 1]),
    )
    found = outcome(made, accepted_labels(made, {"a": 0.5, "b": 0.65}))
    assert (found.abstained, found.right) == (Proportion(1, 4), Proportion(2, 3))
    a, b = found.labels
    assert (a.precision, a.recall, a.coverage) == (Proportion(1, 2), Proportion(1, 1), Proportion(2, 2))
    assert (b.precision, b.recall, b.coverage) == (Proportion(1, 1), Proportion(1, 3), Proportion(1, 2))
    assert (a.f1, b.f1) == (pytest.approx(2 / 3), 0.5)


def test_outcome_of_independent_labels_needs_all_of_them() -> None:
    made = replace(
        made_predictions(n=3, k=2, kind=Kind.MULTI_LABEL),
        scores=np.array([[0.9, 0.8], [0.9, 0.2], [0.1, 0.2]]),
        gold=np.array([[True, True], [True, True], [False, False]]),
    )
    found = outcome(made, accepted_labels(made, {}))
    assert (found.abstained, found.right) == (Proportion(1, 3), Proportion(1, 2))


@pytest.mark.parametrize(
    ("count", "total", "low", "high"), [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (95, 100, 0.8882, 0.9785)]
)
def test_interval_is_wilsons(count: int, total: int, low: float, high: float) -> None:
    assert Proportion(count, total).interval == pytest.approx((low, high), abs=1e-4)


def test_share_of_nothing_is_unknown() -> None:
    assert Proportion(0, 0).share is None
    assert Proportion(0, 0).interval == (0.0, 1.0)
    nothing = outcome(made_predictions(n=0), np.zeros((0, 3), np.bool_))
    assert [one.f1 for one in nothing.labels] == [None] * 3
