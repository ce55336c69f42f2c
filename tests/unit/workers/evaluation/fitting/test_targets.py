import pytest

from labelstream.workers.errors import ConfigError
from labelstream.workers.evaluation.fitting.targets import Metric, Target, parse_target


@pytest.mark.parametrize(
    ("text", "target", "min_texts"),
    [
        ("precision=0.95", Target(Metric.PRECISION, 0.95), 20),
        ("Precision = .99", Target(Metric.PRECISION, 0.99), 100),
        ("recall=0.9", Target(Metric.RECALL, 0.9), 20),
        ("f1=0.99", Target(Metric.F1, 0.99), 20),
        ("coverage=0.999", Target(Metric.COVERAGE, 0.999), 1_000),
    ],
)
def test_target_is_a_metric_and_a_value(text: str, target: Target, min_texts: int) -> None:
    assert parse_target(text) == target
    assert target.min_texts == min_texts


@pytest.mark.parametrize("text", ["", "precision", "precision=", "accuracy=0.9", "0.9", "f1=x"])
def test_text_without_metric_and_value_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not METRIC=VALUE with a metric of precision, recall, f1, coverage"):
        parse_target(text)


@pytest.mark.parametrize("value", ["0", "1", "95", "-0.5", "nan", "inf", "0.9999"])
def test_value_that_no_text_can_show_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=r"is not a share above 0 and up to 0\.999"):
        parse_target(f"precision={value}")
