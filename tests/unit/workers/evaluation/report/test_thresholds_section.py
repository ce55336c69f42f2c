from labelstream.workers.evaluation.fitting.fit import fit
from labelstream.workers.evaluation.fitting.outcome import Proportion
from labelstream.workers.evaluation.fitting.targets import Metric, Target
from labelstream.workers.evaluation.report.thresholds_section import interval_text, thresholds_section
from tests.support.made_predictions import made_predictions


def test_section_shows_what_was_fitted() -> None:
    made = made_predictions()
    assert thresholds_section(fit(made, False, None), "m") == ""
    fitted = fit(made, False, Target(Metric.RECALL, 0.3))
    section = thresholds_section(fitted, "m")
    assert fitted.outcome is not None
    assert f"<td>{fitted.outcome.abstained.part} of {fitted.outcome.abstained.total}</td>" in section
    assert all(f">{threshold:g}</td>" in section for threshold in fitted.by_label.values())


def test_interval_of_nothing_is_empty() -> None:
    assert interval_text(Proportion(0, 0)) == ""
    assert interval_text(Proportion(5, 10)) == "0.237 to 0.763"
