"""What was fitted, and what it does to the texts of the other half."""

from labelstream.workers.evaluation.fitting.fit import Fitted
from labelstream.workers.evaluation.fitting.fragment import comments_of
from labelstream.workers.evaluation.fitting.outcome import LabelOutcome, Proportion
from labelstream.workers.evaluation.report.mistakes_section import note
from labelstream.workers.evaluation.report.tables import Cell, table


def thresholds_section(fitted: Fitted, model: str) -> str:
    """The fitted values with their figures on the judged half; empty if nothing was fitted."""
    if fitted.temperature is None and fitted.target is None:
        return ""
    near = "not counted" if fitted.near is None else f"{fitted.near:,}"
    parts = [
        "<h2>Temperature and thresholds</h2>\n",
        *(note(line) for line in comments_of(fitted, model)),
        note(f"Texts of the judged half that share 60% of their words with a text of the other half: {near}."),
    ]
    if fitted.outcome is not None:
        found = fitted.outcome
        parts.append(
            table(
                "Texts of the judged half",
                ("texts", "number", "share", "95% interval"),
                [_row("abstained", found.abstained), _row("right among the accepted", found.right)],
            )
        )
        of_label = {one.label: one for one in found.labels}
        rows = [_label_row(one.threshold, of_label[one.label]) for one in fitted.thresholds]
        header = ("label", "threshold", "accepted", "precision", "95% interval", "recall", "F1", "coverage")
        parts.append(table("Labels in the judged half", header, rows))
    return f"<section>\n{''.join(parts)}\n</section>"


def interval_text(proportion: Proportion) -> str:
    """The interval as `0.912 to 0.967`; empty without a total."""
    low, high = proportion.interval
    return f"{low:.3f} to {high:.3f}" if proportion.total else ""


def _row(name: str, proportion: Proportion) -> list[Cell]:
    return [name, f"{proportion.part:,} of {proportion.total:,}", proportion.share, interval_text(proportion)]


def _label_row(threshold: float | None, found: LabelOutcome) -> list[Cell]:
    return [
        found.label,
        "none" if threshold is None else f"{threshold:g}",
        found.precision.total,
        found.precision.share,
        interval_text(found.precision),
        found.recall.share,
        found.f1,
        found.coverage.share,
    ]
