"""Whether a score of 0.9 means that 9 of 10 decisions are right."""

from labelstream.workers.evaluation.fitting.fit import Fitted
from labelstream.workers.evaluation.fitting.reliability import BINS, Calibration, calibration
from labelstream.workers.evaluation.predictions import Kind, Predictions
from labelstream.workers.evaluation.report.mistakes_section import note
from labelstream.workers.evaluation.report.plots import reliability_plot
from labelstream.workers.evaluation.report.tables import Cell, table


def calibration_section(predictions: Predictions, fitted: Fitted | None) -> str:
    """The reliability curve and the expected calibration error, also with a fitted temperature."""
    curves = _curves(predictions, fitted)
    decisions = "every label of every text" if predictions.kind is Kind.MULTI_LABEL else "the best label of every text"
    texts = len(predictions) if fitted is None else int((~fitted.fitting).sum())
    half = "" if fitted is None else ", the half on which nothing was fitted"
    rows: list[list[Cell]] = [[name, one.ece, one.loss, one.confidence, one.accuracy] for name, one in curves]
    header = ("scores", "expected calibration error", "log loss", "mean score", "share of right ones")
    bins: list[list[Cell]] = [
        [f"{one.low:.2f} to {one.high:.2f}", name, one.size, one.confidence, one.accuracy]
        for name, found in curves
        for one in found.bins
    ]
    values = table(
        "The points of the plot", ("score", "scores", "decisions", "mean score", "share of right ones"), bins
    )
    return (
        "<section>\n<h2>Calibration</h2>\n"
        + note(
            f"Decisions: {decisions} of {texts:,} texts{half}. The expected calibration error is the mean distance"
            f" between score and share of right decisions, over {BINS} bins of equal width, weighted by their size"
            " (Guo et al. 2017). Bins of few decisions vary by chance."
        )
        + table("Calibration", header, rows)
        + f"<figure>\n<h3>Reliability</h3>\n{reliability_plot(curves, 'reliability')}\n<figcaption>Below the line the"
        " model is surer than it is right, above it less sure. Bars are 95% intervals; the lower plot has the number of"
        " decisions.</figcaption>\n"
        f"</figure>\n<details><summary>Values of the plot</summary>{values}</details>\n</section>"
    )


def _curves(predictions: Predictions, fitted: Fitted | None) -> list[tuple[str, Calibration]]:
    if fitted is None:
        return [("scores of the model", calibration(predictions))]
    curves = [("scores of the model", fitted.before)]
    if fitted.after is not None:
        curves.append((f"with temperature {fitted.temperature:g}", fitted.after))
    return curves
