"""--fail-under and --fail-over: metrics that decide the exit code."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from labelstream.workers.errors import ConfigError

if TYPE_CHECKING:
    from labelstream.workers.evaluation.metrics.measurement import Measurement

# Of models of all kinds, so that a misspelt name is found before the work.
METRICS = (
    *("accuracy", "matthews_correlation", "cohen_kappa", "roc_auc", "average_precision", "exact_match"),
    *(f"{name}_{average}" for name in ("precision", "recall", "f1") for average in ("macro", "micro", "weighted")),
    *("f1", "combined_score", "coverage", "accuracy_accepted", "pearson", "spearmanr", "samples", "samples_per_second"),
    *("loss", "hamming_loss", "rmse", "mae", "mse", "runtime"),
)
LOWER_IS_BETTER = ("loss", "hamming_loss", "rmse", "mae", "mse", "runtime")


class Limit(NamedTuple):
    """`metric`: without the prefix eval_. `is_floor`: the metric must not be lower, else not higher."""

    metric: str
    value: float
    is_floor: bool


def limits_of(under: Sequence[str], over: Sequence[str]) -> list[Limit]:
    """The limits of --fail-under and --fail-over, each NAME=NUMBER. Raises ConfigError."""
    return [_limit(text, "--fail-under") for text in under] + [_limit(text, "--fail-over") for text in over]


def failed(limits: Sequence[Limit], measured: "Measurement") -> list[str]:
    """A sentence for each limit that the metrics miss. Raises ConfigError for a metric of another kind of models."""
    found: list[str] = []
    for metric, limit, is_floor in limits:
        name = next(
            (known for known in _forms(metric) if known in measured.values or known in measured.undefined), None
        )
        if name is None:
            known = [one.removeprefix("eval_") for one in (*measured.values, *measured.undefined)]
            raise _unknown(metric, "--fail-under" if is_floor else "--fail-over", known)
        value = measured.values.get(name)
        if value is None:
            found.append(f"{metric} is undefined ({measured.undefined[name]})")
        elif value < limit if is_floor else value > limit:
            found.append(f"{metric} {value:.6g} is {'below' if is_floor else 'above'} {limit:g}")
    return found


def _limit(text: str, option: str) -> Limit:
    name, _, number = text.partition("=")
    metric, is_floor = name.strip().removeprefix("eval_"), option == "--fail-under"
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    if not metric or value != value:
        raise ConfigError(option, f"{text!r} is not METRIC=NUMBER", "for example accuracy=0.9")
    if metric.removesuffix("_mm") not in METRICS:
        raise _unknown(metric, option, METRICS)
    if is_floor and metric in LOWER_IS_BETTER:
        raise ConfigError(option, f"{metric} is better when lower", f"give --fail-over {metric}={value:g}")
    return Limit(metric, value, is_floor)


def _unknown(metric: str, option: str, known: Sequence[str]) -> ConfigError:
    return ConfigError(option, f"unknown metric {metric!r}", f"give one of {', '.join(known)}")


def _forms(metric: str) -> tuple[str, ...]:
    """The names in a measurement; MNLI's mismatched half has a suffix."""
    return f"eval_{metric}", f"eval_{metric}_mm"
