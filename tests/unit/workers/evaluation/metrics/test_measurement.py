"""A metric has a value, or the reason why it has none."""

from labelstream.workers.evaluation.metrics.measurement import Measurement


def test_metric_is_value_or_reason() -> None:
    measured = Measurement()
    measured.add("accuracy", 0.5)
    measured.add("roc_auc", None, "no text has the label a")
    measured.add("kappa", float("nan"))
    assert measured.values == {"eval_accuracy": 0.5}
    assert measured.undefined == {"eval_roc_auc": "no text has the label a", "eval_kappa": "undefined for these texts"}
