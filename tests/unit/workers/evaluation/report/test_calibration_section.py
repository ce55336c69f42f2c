from labelstream.workers.evaluation.fitting.fit import fit
from labelstream.workers.evaluation.report.calibration_section import calibration_section
from tests.support.made_predictions import made_predictions


def test_section_shows_the_scores_before_and_after() -> None:
    made = made_predictions()
    assert "with temperature" not in calibration_section(made, None)
    fitted = fit(made, True, None)
    section = calibration_section(made, fitted)
    assert fitted.after is not None
    assert f"with temperature {fitted.temperature:g}" in section
    assert f"{fitted.before.ece:.4f}" in section
    assert f"{fitted.after.ece:.4f}" in section
    assert f"of {(~fitted.fitting).sum()} texts, the half on which nothing was fitted" in section
