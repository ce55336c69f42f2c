"""Values are fitted on one half and judged on the other."""

from dataclasses import replace

import pytest

from labelstream.workers.errors import EvaluationError
from labelstream.workers.evaluation.fitting.fit import fit
from labelstream.workers.evaluation.fitting.outcome import accepted_labels
from labelstream.workers.evaluation.fitting.reliability import calibration
from labelstream.workers.evaluation.fitting.targets import Metric, Target
from labelstream.workers.evaluation.fitting.temperature import at_temperature, fit_temperature
from labelstream.workers.evaluation.fitting.thresholds import choose_thresholds
from labelstream.workers.evaluation.predictions import Kind
from tests.support.made_predictions import made_predictions, made_regression

TARGET = Target(Metric.PRECISION, 0.9)


@pytest.mark.parametrize("kind", [Kind.SINGLE_LABEL, Kind.MULTI_LABEL])
def test_values_come_from_one_half_and_figures_from_the_other(kind: Kind) -> None:
    made = made_predictions(n=2_000, kind=kind)
    found = fit(made, True, TARGET)
    ours, others = made.subset(found.fitting), made.subset(~found.fitting)
    assert found.temperature == fit_temperature(ours)
    assert found.temperature is not None
    assert found.after is not None
    ours, judged = at_temperature(ours, found.temperature), at_temperature(others, found.temperature)
    assert found.thresholds == choose_thresholds(ours, TARGET)
    assert found.before == calibration(others)
    assert found.after == calibration(judged)
    assert found.after.ece < found.before.ece
    assert found.outcome is not None
    abstained = ~accepted_labels(judged, found.by_label).any(1)
    assert found.outcome.abstained == (abstained.sum(), len(judged))


def test_calibration_alone_is_measured_without_options() -> None:
    found = fit(made_predictions(), False, None)
    assert (found.temperature, found.after, found.thresholds, found.outcome, found.by_label) == (
        None,
        None,
        (),
        None,
        {},
    )


def test_fit_without_a_threshold_is_refused() -> None:
    with pytest.raises(EvaluationError, match=r"no label has a threshold \(a: \d+ texts whose best label it is; prec"):
        fit(made_predictions(n=40), False, TARGET)


@pytest.mark.parametrize(("calibrate", "option"), [(True, "--calibrate"), (False, "--target")])
def test_regression_is_refused(calibrate: bool, option: str) -> None:
    with pytest.raises(EvaluationError, match=f"^{option}: a regression has no scores from 0 to 1; leave out {option}"):
        fit(made_regression(), calibrate, TARGET)


def test_one_half_without_texts_is_refused() -> None:
    made = made_predictions(n=30)
    with pytest.raises(EvaluationError, match=r"have 30 and 0 texts|have 0 and 30 texts"):
        fit(replace(made, texts=[("the same", None)] * 30), False, TARGET)
