"""Histograms of the scores, and precision against recall."""

from html import escape

from labelstream.workers.evaluation.fitting.fit import Fitted
from labelstream.workers.evaluation.predictions import Kind, Predictions
from labelstream.workers.evaluation.report.mistakes_section import note
from labelstream.workers.evaluation.report.plots import (
    MAX_CURVES,
    MAX_HISTOGRAMS,
    has_label,
    histogram,
    label_texts,
    most_frequent,
    precision_recall_plot,
)
from labelstream.workers.evaluation.report.tables import Cell, table


def histograms_section(predictions: Predictions, fitted: Fitted | None) -> str:
    """A histogram for each of the most frequent labels, with the threshold if one was fitted."""
    thresholds = {} if fitted is None else fitted.by_label
    shown = most_frequent(predictions, MAX_HISTOGRAMS)
    figures = "\n".join(
        f"<figure>\n<h3>{escape(predictions.labels[i])}</h3>\n"
        f"{histogram(predictions, i, thresholds.get(predictions.labels[i]), f'scores-{i}')}\n</figure>"
        for i in shown
    )
    exclusive = predictions.kind is Kind.SINGLE_LABEL
    said = (
        "Of each label, the texts whose best label it is: right ones above the line, wrong ones below."
        if exclusive
        else "Of each label, all texts: those with the label above the line, those without below."
    )
    said += _texts(predictions, fitted) + _rest(len(shown), predictions)
    return f'<section>\n<h2>Scores</h2>\n{note(said)}<div class="plots">\n{figures}\n</div>\n</section>'


def curves_section(predictions: Predictions, fitted: Fitted | None) -> str:
    """Precision against recall, as a plot of the most frequent labels and a table of all."""
    from sklearn.metrics import average_precision_score

    counts = label_texts(predictions)
    shown = [i for i in most_frequent(predictions, MAX_CURVES) if counts[i]]
    if not shown:
        return ""
    plot = precision_recall_plot(predictions, shown, "precision-recall")
    rows: list[list[Cell]] = [
        [
            label,
            int(counts[i]),
            float(average_precision_score(has_label(predictions, i), predictions.scores[:, i])) if counts[i] else None,
            float(counts[i] / max(1, len(predictions))),
        ]
        for i, label in enumerate(predictions.labels)
    ]
    values = table("Average precision", ("label", "texts", "average precision", "of a random order"), rows)
    said = f"Each label against all others, for every threshold.{_texts(predictions, fitted)}"
    return (
        f"<section>\n<h2>Precision and recall</h2>\n{note(said + _rest(len(shown), predictions))}"
        f"<figure>\n<h3>Precision against recall</h3>\n{plot}\n</figure>\n"
        f"<details><summary>Average precision of all labels</summary>{values}</details>\n</section>"
    )


def _texts(predictions: Predictions, fitted: Fitted | None) -> str:
    if fitted is None:
        return f" {len(predictions):,} texts."
    half = f" {len(predictions):,} texts, the half on which nothing was fitted"
    return f"{half}, with temperature {fitted.temperature:g}." if fitted.temperature is not None else f"{half}."


def _rest(shown: int, predictions: Predictions) -> str:
    k = len(predictions.labels)
    return f" The {shown} most frequent of {k} labels." if shown < k else ""
