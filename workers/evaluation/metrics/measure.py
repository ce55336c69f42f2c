"""Measures the predictions of one model: metrics, intervals, and the speed under the names that run_glue prints."""

from labelstream.workers.errors import ConfigError
from labelstream.workers.evaluation.metrics import multi_label, regression, single_label
from labelstream.workers.evaluation.metrics.bootstrap import intervals
from labelstream.workers.evaluation.metrics.glue import GlueTask, add_glue
from labelstream.workers.evaluation.metrics.measurement import PREFIX, Measurement
from labelstream.workers.evaluation.predictions import Kind, Predictions

RESAMPLES = 1_000
_METRICS = {Kind.SINGLE_LABEL: single_label, Kind.MULTI_LABEL: multi_label, Kind.REGRESSION: regression}


def require_packages() -> None:
    """Raises ConfigError, which says what to install, without the packages of the extra `evaluate`."""
    try:
        import sklearn.metrics  # noqa: F401, which imports scipy
    except ImportError as error:
        raise ConfigError(
            "evaluate", f"needs the package {error.name}, which is not installed", "pip install 'labelstream[evaluate]'"
        ) from None


def measure(
    predictions: Predictions, task: GlueTask | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> Measurement:
    """Metrics of `predictions` (at least one text). `task`: adds GLUE's own metrics. `resamples`: 0 for no intervals.

    Raises EvaluationError if the predictions are not of the kind of `task`.
    """
    metrics = _METRICS[predictions.kind]
    measured = metrics.measure(predictions)
    _note_labels(measured)
    if task is not None:
        add_glue(measured, predictions, task)
    n = len(predictions)
    measured.add("runtime", predictions.runtime_s)
    measured.add("samples", n)
    measured.add("samples_per_second", n / predictions.runtime_s if predictions.runtime_s else None)
    if resamples:
        found = intervals(metrics.resampled(predictions, resamples, seed))
        measured.intervals = {
            PREFIX + name: bounds for name, bounds in found.items() if PREFIX + name in measured.values
        }
    if task is not None and task.suffix:
        _add_suffix(measured, task.suffix)
    return measured


def _note_labels(measured: Measurement) -> None:
    """Say which labels have a precision or recall of 0 because there is nothing to divide by."""
    for what, number in (("no text has the label", "texts"), ("the model never predicts", "predicted")):
        names = [one.label for one in measured.per_label if not getattr(one, number)]
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            measure_name = "recall" if number == "texts" else "precision"
            measured.notes.append(f"{what} {', '.join(names[:5])}{more}: {measure_name} counts as 0")


def _add_suffix(measured: Measurement, suffix: str) -> None:
    for name in ("values", "intervals", "undefined"):
        setattr(measured, name, {key + suffix: value for key, value in getattr(measured, name).items()})
