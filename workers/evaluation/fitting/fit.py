"""The whole round: split, fit a temperature, choose thresholds, and judge both on the other half."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.errors import EvaluationError
from labelstream.workers.evaluation.fitting.outcome import Outcome, accepted_labels, outcome
from labelstream.workers.evaluation.fitting.reliability import Calibration, calibration
from labelstream.workers.evaluation.fitting.split import fitting_half, near_duplicates
from labelstream.workers.evaluation.fitting.targets import Target
from labelstream.workers.evaluation.fitting.temperature import at_temperature, fit_temperature
from labelstream.workers.evaluation.fitting.thresholds import LabelThreshold, choose_thresholds
from labelstream.workers.evaluation.predictions import Kind, Predictions


class Fitted(NamedTuple):
    """`fitting`: [n] bool, the texts on which values were fitted. The others are judged.

    - `near`: judged texts that nearly repeat a text of the fitting half; None if they were not counted.
    - `temperature`: divides the logits; None if none was asked for. The model's own temperature is not in it.
    - `before`, `after`: calibration of the judged half without and with `temperature`.
    - `thresholds`, `outcome`: for `target`; what the thresholds do to the judged half at `temperature`.
    """

    fitting: NDArray[np.bool_]
    near: int | None
    before: Calibration
    temperature: float | None = None
    after: Calibration | None = None
    target: Target | None = None
    thresholds: tuple[LabelThreshold, ...] = ()
    outcome: Outcome | None = None

    @property
    def by_label(self) -> dict[str, float]:
        """The thresholds that were found."""
        return {one.label: one.threshold for one in self.thresholds if one.threshold is not None}


def fit(predictions: Predictions, calibrate: bool, target: Target | None) -> Fitted:
    """Fit a temperature if `calibrate`, and thresholds if there is a `target`.

    Raises EvaluationError if there are too few texts, if no label reaches the target, and for a regression.
    """
    if predictions.kind is Kind.REGRESSION:
        option = "--calibrate" if calibrate else "--target"
        raise EvaluationError(f"{option}: a regression has no scores from 0 to 1; leave out {option}")
    fitting = fitting_half(predictions.texts)
    ours, others = predictions.subset(fitting), predictions.subset(~fitting)
    if not len(ours) or not len(others):
        raise EvaluationError(
            f"the halves for fitting and judging have {len(ours)} and {len(others)} texts; label more texts"
        )
    found = Fitted(fitting, near_duplicates(predictions.texts, fitting), calibration(others))
    if calibrate:
        temperature = fit_temperature(ours)
        ours, others = at_temperature(ours, temperature), at_temperature(others, temperature)
        found = found._replace(temperature=temperature, after=calibration(others))
    if target is not None:
        thresholds = choose_thresholds(ours, target)
        found = found._replace(target=target, thresholds=thresholds)
        if not found.by_label:
            reasons = "; ".join(f"{one.label}: {one.problem}" for one in thresholds[:3])
            raise EvaluationError(
                f"--target: no label has a threshold ({reasons}); label more texts, or lower the target"
            )
        found = found._replace(outcome=outcome(others, accepted_labels(others, found.by_label)))
    return found
