"""The whole page: sections about metrics, mistakes, calibration, scores and thresholds."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from labelstream.workers.evaluation.fitting.fit import Fitted
from labelstream.workers.evaluation.fitting.temperature import at_temperature
from labelstream.workers.evaluation.predictions import Kind, Predictions
from labelstream.workers.evaluation.report.calibration_section import calibration_section
from labelstream.workers.evaluation.report.mistakes_section import confusion_section, mistakes_section
from labelstream.workers.evaluation.report.plots import regression_plot
from labelstream.workers.evaluation.report.scores_section import curves_section, histograms_section
from labelstream.workers.evaluation.report.style import STYLE
from labelstream.workers.evaluation.report.tables import Cell, table
from labelstream.workers.evaluation.report.thresholds_section import thresholds_section

# The page loads nothing and runs nothing, whatever a text or a label contains.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # which HTML does not allow


@dataclass(frozen=True)
class Report:
    """What the page shows. `data`: name of the data set. `facts`: sentences about the data and the model.

    `metrics`: (name, value, interval as text) of all texts. `label_header`, `label_rows`: metrics by label, the label
    first. `fitted`: None if nothing was fitted.
    """

    predictions: Predictions
    data: str
    facts: Sequence[str] = ()
    metrics: Sequence[tuple[str, float | None, str]] = ()
    label_header: Sequence[str] = ()
    label_rows: Sequence[Sequence[Cell]] = field(default_factory=list)
    fitted: Fitted | None = None


def report_page(report: Report) -> str:
    """The HTML of the page. Raises StartError if matplotlib is not installed."""
    title = f"{report.predictions.model} on {report.data}"
    facts = "".join(f"<li>{escape(fact)}</li>\n" for fact in report.facts)
    sections = "\n".join(section for section in (_metrics(report), *_sections(report)) if section)
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{escape(title)}</title>\n<link rel="icon" href="data:,">\n<style>\n{STYLE}</style>\n</head>\n'
        f"<body>\n<header>\n<h1>{escape(title)}</h1>\n<ul>\n{facts}</ul>\n</header>\n<main>\n{sections}\n</main>\n"
        "</body>\n</html>\n"
    )
    return _CONTROLS.sub("\ufffd", page)


def _metrics(report: Report) -> str:
    parts = ["<h2>Metrics</h2>"]
    if report.metrics:
        parts.append(table("Metrics of all texts", ("metric", "value", "95% interval"), report.metrics))
    if report.label_rows:
        parts.append(table("Metrics by label", report.label_header, report.label_rows))
    return f"<section>\n{''.join(parts)}\n</section>" if len(parts) > 1 else ""


def _sections(report: Report) -> list[str]:
    predictions, fitted = report.predictions, report.fitted
    if predictions.kind is Kind.REGRESSION:
        plot = regression_plot(predictions, "regression")
        caption = "Each point is a text; on the line both numbers are equal. At most 2,000 texts are drawn."
        figure = f"<figure>{plot}<figcaption>{caption}</figcaption></figure>"
        return [f"<section>\n<h2>Numbers</h2>\n{figure}\n</section>", mistakes_section(predictions)]
    shown = predictions if fitted is None else predictions.subset(~fitted.fitting)
    if fitted is not None and fitted.temperature is not None:
        shown = at_temperature(shown, fitted.temperature)
    return [
        "" if fitted is None else thresholds_section(fitted, predictions.model),
        confusion_section(predictions),
        calibration_section(predictions, fitted),
        histograms_section(shown, fitted),
        curves_section(shown, fitted),
        mistakes_section(predictions),
    ]
