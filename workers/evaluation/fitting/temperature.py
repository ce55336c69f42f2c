"""Fits the temperature that divides the logits, by the log loss (Guo et al. 2017, section 4.2)."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.engine.options import MAX_TEMPERATURE, MIN_TEMPERATURE
from labelstream.workers.errors import EvaluationError
from labelstream.workers.evaluation.fitting.reliability import decisions
from labelstream.workers.evaluation.predictions import Kind, Predictions

MIN_TEXTS = 100  # of the fitting half
MIN_WRONG = 5  # the loss is mostly that of the wrong decisions; without any the best temperature is 0
DIGITS = 3


def fit_temperature(predictions: Predictions) -> float:
    """The temperature with the least log loss for `predictions`, rounded to `DIGITS` digits behind the point.

    Raises EvaluationError if the predictions have no logits, or too few texts or wrong decisions.
    """
    from scipy.optimize import minimize_scalar

    logits = _logits(predictions)
    scores, right = decisions(predictions)
    wrong = int(((scores >= 0.5) != right).sum() if predictions.kind is Kind.MULTI_LABEL else (~right).sum())
    if len(predictions) < MIN_TEXTS or wrong < MIN_WRONG:
        raise EvaluationError(
            f"--calibrate: the fitting half has {len(predictions)} texts, {wrong} of them wrong; a temperature needs"
            f" {MIN_TEXTS} texts and {MIN_WRONG} wrong ones: label more texts, or leave out --calibrate"
        )
    # The loss is convex in 1 / temperature, so it has one minimum on any monotone scale.
    bounds = (np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE))
    found = minimize_scalar(
        lambda log: loss_at(np.exp(log), logits, predictions), bounds=bounds, method="bounded", options={"xatol": 1e-6}
    )
    return round(float(np.exp(found.x)), DIGITS)


def at_temperature(predictions: Predictions, temperature: float) -> Predictions:
    """The predictions with scores of the logits divided by `temperature`. Raises EvaluationError without logits."""
    from scipy.special import expit, softmax

    divided = _logits(predictions) / temperature
    scores = expit(divided) if predictions.kind is Kind.MULTI_LABEL else softmax(divided, axis=1)
    return replace(predictions, scores=scores)


def loss_at(temperature: float, logits: NDArray[np.float64], predictions: Predictions) -> float:
    """The log loss of `predictions` with `logits` divided by `temperature`, from the logits, without rounding to 0."""
    from scipy.special import logsumexp

    divided, gold = logits / temperature, predictions.gold
    if predictions.kind is Kind.MULTI_LABEL:
        return float((np.logaddexp(0.0, divided) - divided * gold).mean())
    return float((logsumexp(divided, axis=1) - divided[np.arange(len(gold)), gold]).mean())


def _logits(predictions: Predictions) -> NDArray[np.float64]:
    if predictions.kind is Kind.REGRESSION:
        raise EvaluationError("--calibrate: a regression has no scores from 0 to 1; leave out --calibrate")
    if predictions.logits is None:
        raise EvaluationError(
            "--calibrate: the score of a text in windows has no logits; fit the temperature with long_text truncate,"
            " and use the value for windows as well"
        )
    return predictions.logits
