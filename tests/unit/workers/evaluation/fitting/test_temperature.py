"""A fitted temperature has the least log loss, and keeps the order of the labels."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelstream.workers.engine.options import MAX_TEMPERATURE, MIN_TEMPERATURE
from labelstream.workers.errors import EvaluationError
from labelstream.workers.evaluation.fitting.reliability import calibration, log_loss
from labelstream.workers.evaluation.fitting.temperature import MIN_TEXTS, at_temperature, fit_temperature, loss_at
from labelstream.workers.evaluation.predictions import Kind
from tests.support.made_predictions import made_predictions, made_regression

KINDS = st.sampled_from([Kind.SINGLE_LABEL, Kind.MULTI_LABEL])


@given(KINDS, st.integers(2, 5), st.floats(0.3, 5), st.integers(0, 99))
@settings(max_examples=25)
def test_fitted_temperature_has_the_least_loss(kind: Kind, k: int, true: float, seed: int) -> None:
    made = made_predictions(n=200, k=k, kind=kind, temperature=true, seed=seed)
    try:
        fitted = fit_temperature(made)
    except EvaluationError:
        return
    assert made.logits is not None
    least = loss_at(fitted, made.logits, made)
    for other in (*np.geomspace(MIN_TEMPERATURE, MAX_TEMPERATURE, 60), 1.0, true):
        assert least <= loss_at(float(other), made.logits, made) + 1e-6
    assert log_loss(at_temperature(made, fitted)) <= log_loss(made) + 1e-6


@given(KINDS, st.integers(2, 5), st.floats(0.5, 8), st.integers(0, 99))
def test_temperature_keeps_the_order_of_labels(kind: Kind, k: int, temperature: float, seed: int) -> None:
    made = made_predictions(n=50, k=k, kind=kind, seed=seed, scale=1.0)
    changed = at_temperature(made, temperature)
    assert (changed.scores.argsort(1) == made.scores.argsort(1)).all()


@pytest.mark.parametrize("kind", [Kind.SINGLE_LABEL, Kind.MULTI_LABEL])
@pytest.mark.parametrize("true", [0.5, 1.0, 2.5])
def test_fit_finds_the_temperature_of_the_data(kind: Kind, true: float) -> None:
    made = made_predictions(n=20_000, kind=kind, temperature=true)
    assert fit_temperature(made) == pytest.approx(true, rel=0.05)
    assert calibration(at_temperature(made, true)).ece < 0.02


def test_temperature_1_changes_nothing() -> None:
    for kind in (Kind.SINGLE_LABEL, Kind.MULTI_LABEL):
        made = made_predictions(kind=kind)
        assert at_temperature(made, 1.0).scores == pytest.approx(made.scores)


def test_large_logits_have_a_finite_loss() -> None:
    made = made_predictions(n=200, scale=4_000)
    made = replace(made, gold=(made.gold + (np.arange(200) < 20)) % 3)
    assert MIN_TEMPERATURE <= fit_temperature(made) <= MAX_TEMPERATURE
    assert np.isfinite(at_temperature(made, MIN_TEMPERATURE).scores).all()


def test_too_few_texts_or_errors_are_refused_with_the_number() -> None:
    few = made_predictions(n=MIN_TEXTS - 1)
    with pytest.raises(EvaluationError, match=r"has 99 texts, \d+ of them wrong; a temperature needs 100 texts and 5"):
        fit_temperature(few)
    made = made_predictions()
    for kind, gold in ((Kind.SINGLE_LABEL, made.scores.argmax(1)), (Kind.MULTI_LABEL, made.scores >= 0.5)):
        with pytest.raises(EvaluationError, match="600 texts, 0 of them wrong"):
            fit_temperature(replace(made, kind=kind, gold=gold))


def test_predictions_without_logits_are_refused() -> None:
    with pytest.raises(EvaluationError, match="has no logits; fit the temperature with long_text truncate"):
        fit_temperature(replace(made_predictions(), logits=None))
    with pytest.raises(EvaluationError, match="a regression has no scores"):
        at_temperature(made_regression(), 2.0)
