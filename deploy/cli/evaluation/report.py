"""--report: gives the page what the evaluation found."""

from typing import TYPE_CHECKING

from labelstream.deploy.cli.common.console import plural
from labelstream.deploy.cli.evaluation.results import Results, data_remarks
from labelstream.workers.evaluation.report.tables import Cell

if TYPE_CHECKING:
    from labelstream.workers.evaluation.fitting.fit import Fitted


def report_html(results: Results, fitted: "Fitted | None") -> str:
    """The report about the first model. Raises StartError if matplotlib is not installed."""
    from labelstream.workers.evaluation.report.page import Report, report_page

    one = results.models[0]
    measured = one.measured
    metrics = [
        (name, value, "{:.4f} to {:.4f}".format(*measured.intervals[name]) if name in measured.intervals else "")
        for name, value in measured.values.items()
    ]
    undefined = [f"{name} is undefined: {why}." for name, why in measured.undefined.items()]
    rows: list[list[Cell]] = [
        [
            label.label,
            label.texts,
            label.predicted,
            label.precision,
            label.recall,
            label.f1,
            label.roc_auc,
            label.average_precision,
        ]
        for label in measured.per_label
    ]
    header = ("label", "texts", "predicted", "precision", "recall", "F1", "ROC AUC", "average precision")
    facts = [*_facts(results), *undefined, *measured.notes]
    return report_page(Report(one.predictions, results.data, facts, metrics, header, rows, fitted))


def _facts(results: Results) -> list[str]:
    one = results.models[0]
    facts = [
        f"Model: {one.candidate.source}, revision {one.revision}, {one.dtype} on {one.device}.",
        f"{plural(f'{len(one.predictions):,}', 'text')}, {int(one.predictions.truncated.sum()):,} truncated.",
    ]
    if one.candidate.options:
        facts.append("Options: " + ", ".join(f"{key}={value}" for key, value in one.candidate.options.items()) + ".")
    return facts + [f"{remark}." for remark in data_remarks(results)]
