"""--report: gives the page what the evaluation found."""

from typing import TYPE_CHECKING

from labelstream.deploy.cli.common.console import plural
from labelstream.deploy.cli.evaluation.results import Results
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
    one, twice = results.models[0], results.duplicates
    facts = [
        f"Model: {one.candidate.source}, revision {one.revision}, {one.dtype} on {one.device}.",
        f"{plural(f'{len(one.predictions):,}', 'text')}, {int(one.predictions.truncated.sum()):,} truncated.",
    ]
    if one.candidate.options:
        facts.append("Options: " + ", ".join(f"{key}={value}" for key, value in one.candidate.options.items()) + ".")
    if twice.texts:
        more = f", {twice.contradicting:,} of them with different labels" if twice.contradicting else ""
        facts.append(f"{plural(f'{twice.texts:,}', 'text')} more than once, in {twice.rows:,} rows{more}.")
    if results.left_out:
        facts.append(f"{plural(f'{len(results.left_out):,}', 'text')} left out; the first: {results.left_out[0]}.")
    return facts
