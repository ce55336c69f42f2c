"""--fail-under and --fail-over."""

import pytest

from labelstream.deploy.cli.evaluation.limits import LOWER_IS_BETTER, METRICS, Limit, failed, limits_of
from labelstream.workers.errors import ConfigError
from labelstream.workers.evaluation.metrics.glue import TASKS
from labelstream.workers.evaluation.metrics.measure import measure
from labelstream.workers.evaluation.metrics.measurement import Measurement
from tests.support.evaluated import multi_label, regression, single_label


def test_limits_of_both_options() -> None:
    found = limits_of(["eval_accuracy=0.9", "f1_macro = 0.5"], ["loss=1"])
    assert found == [Limit("accuracy", 0.9, True), Limit("f1_macro", 0.5, True), Limit("loss", 1.0, False)]


@pytest.mark.parametrize("text", ["accuracy", "=0.9", "accuracy=high", "accuracy=nan", ""])
def test_limit_without_name_or_number_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"is not METRIC=NUMBER; for example accuracy=0.9$"):
        limits_of([text], [])


def test_missed_limits_name_metric_value_and_limit() -> None:
    measured = Measurement(values={"eval_accuracy": 0.85, "eval_loss": 0.5}, undefined={"eval_roc_auc": "one label"})
    limits = limits_of(["accuracy=0.85", "accuracy=0.9", "roc_auc=0.5"], ["loss=0.5", "loss=0.4"])
    assert failed(limits, measured) == [
        "accuracy 0.85 is below 0.9",
        "roc_auc is undefined (one label)",
        "loss 0.5 is above 0.4",
    ]


def test_limit_holds_for_the_mismatched_half() -> None:
    assert failed(limits_of(["accuracy=0.9"], []), Measurement(values={"eval_accuracy_mm": 0.8})) != []


def test_each_metric_is_known_before_the_work() -> None:
    measurements = [measure(one, resamples=0) for one in (single_label(), multi_label(), regression())]
    measurements += [measure(single_label(labels=("a", "b")), TASKS["mrpc"], resamples=0)]
    names = {name.removeprefix("eval_") for one in measurements for name in one.values}
    assert names | {"coverage", "accuracy_accepted"} == set(METRICS)
    assert set(LOWER_IS_BETTER) < set(METRICS)
