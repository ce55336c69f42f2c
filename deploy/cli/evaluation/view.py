"""Shows an evaluation in 80 columns: metrics with intervals, labels, confusion matrix, and what models differ in."""

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from labelstream.deploy.cli.common.console import escape, out, plural, shorten
from labelstream.deploy.cli.evaluation.results import Evaluated, Results, data_remarks, differences

if TYPE_CHECKING:
    from labelstream.workers.evaluation.metrics.measurement import LabelMetrics

MAX_LABELS = 20  # rows of the table of labels
MAX_MATRIX = 6  # labels of a confusion matrix that fits 80 columns
MAX_DIFFERENCES = 10
_LABEL_WIDTH = 24


def show(results: Results) -> None:
    console = out()
    for line in _head(results):
        console.print(line, soft_wrap=True)
    if len(results.models) > 1:
        _show_comparison(console, results)
        return
    (one,) = results.models
    _show_metrics(console, one)
    _show_labels(console, one)
    _show_confusion(console, one)
    for line in _remarks(one):
        console.print(line, soft_wrap=True)


def _head(results: Results) -> list[str]:
    lines = []
    for letter, one in zip(_letters(results), results.models, strict=True):
        prefix = f"{letter}: " if len(results.models) > 1 else ""
        lines.append(f"{prefix}{escape(one.candidate.name)}, revision {one.revision}, {one.dtype} on {one.device}")
    predictions = results.models[0].predictions
    lines.append(f"{plural(f'{len(predictions):,}', 'text')} of {escape(results.data)}")
    for letter, one in zip(_letters(results), results.models, strict=True):
        if number := int(one.predictions.truncated.sum()):
            who = f" by {letter}" if len(results.models) > 1 else ""
            lines.append(f"{plural(f'{number:,}', 'text')} truncated{who}: the model read only a part")
    return lines + [escape(remark) for remark in data_remarks(results)]


def _show_metrics(console: Any, one: Evaluated) -> None:
    table = table_of("metric", ("value", "right"), ("95% interval", "left"))
    measured = one.measured
    for name, value in measured.values.items():
        bounds = measured.intervals.get(name)
        table.add_row(name, _number(name, value), "" if bounds is None else f"{bounds[0]:.4f} to {bounds[1]:.4f}")
    console.print(table)


def _show_labels(console: Any, one: Evaluated) -> None:
    labels: Sequence[LabelMetrics] = one.measured.per_label
    if not labels:
        return
    if len(labels) > MAX_LABELS:
        labels = sorted(labels, key=lambda label: label.f1)[:MAX_LABELS]
        console.print(f"the {MAX_LABELS} of {len(one.measured.per_label)} labels with the lowest F1; --json has all")
    numbers = ("precision", "recall", "F1", "ROC AUC", "AP", "texts", "predicted")
    table = table_of("label", *((name, "right") for name in numbers))
    for label in labels:
        shares = (label.precision, label.recall, label.f1, label.roc_auc, label.average_precision)
        cells = ["-" if share is None else f"{share:.4f}" for share in shares]
        table.add_row(first_cell(label.label), *cells, f"{label.texts:,}", f"{label.predicted:,}")
    console.print(table)


def _show_confusion(console: Any, one: Evaluated) -> None:
    confusion, labels = one.measured.confusion, one.predictions.labels
    if confusion is None:
        return
    if len(labels) > MAX_MATRIX:
        _show_confused(console, one)
        return
    width = max(6, 52 // len(labels) - 2)
    table = table_of("true \\ predicted", *((shorten(escape(label), width), "right") for label in labels))
    for label, row in zip(labels, confusion.tolist(), strict=True):
        table.add_row(first_cell(label), *(f"{number:,}" for number in row))
    console.print(table)


def _show_confused(console: Any, one: Evaluated) -> None:
    """The pairs of labels that are confused most often."""
    confusion, labels = one.measured.confusion, one.predictions.labels
    assert confusion is not None
    pairs = [
        (number, labels[true], labels[predicted])
        for true, row in enumerate(confusion.tolist())
        for predicted, number in enumerate(row)
        if true != predicted and number
    ]
    pairs.sort(key=lambda pair: -pair[0])
    console.print(f"the {min(len(pairs), MAX_DIFFERENCES)} most frequent confusions; --json has all")
    table = table_of("true", ("predicted", "left"), ("texts", "right"))
    for number, true, predicted in pairs[:MAX_DIFFERENCES]:
        table.add_row(first_cell(true), first_cell(predicted), f"{number:,}")
    console.print(table)


def _remarks(one: Evaluated) -> list[str]:
    undefined = [f"{name} is undefined: {why}" for name, why in one.measured.undefined.items()]
    return [escape(line) for line in (*undefined, *one.measured.notes)]


def _show_comparison(console: Any, results: Results) -> None:
    letters = _letters(results)
    table = table_of("metric", *((letter, "right") for letter in letters))
    for name in dict.fromkeys(name for one in results.models for name in one.measured.values):
        values = [one.measured.values.get(name) for one in results.models]
        table.add_row(name, *("-" if value is None else _number(name, value) for value in values))
    console.print(table)
    first = results.models[0]
    for letter, other, comparison in zip(letters[1:], results.models[1:], results.comparisons, strict=True):
        number, whole = len(comparison.differ), len(first.predictions)
        console.print(f"A and {letter} differ for {number:,} of {plural(f'{whole:,}', 'text')}", soft_wrap=True)
        if comparison.p_value is not None:
            console.print(
                f"A alone is right for {comparison.only_first:,}, {letter} alone for {comparison.only_second:,}; "
                f"McNemar's exact test: p = {comparison.p_value:.4g}",
                soft_wrap=True,
            )
        if number:
            _show_differences(console, first, other, comparison, letter)
    for letter, one in zip(letters, results.models, strict=True):
        for line in _remarks(one):
            console.print(f"{letter}: {line}", soft_wrap=True)


def _show_differences(console: Any, first: Evaluated, other: Evaluated, comparison: Any, letter: str) -> None:
    more = len(comparison.differ) - MAX_DIFFERENCES
    if more > 0:
        console.print(f"the first {MAX_DIFFERENCES}; --json has all {len(comparison.differ):,}")
    table = table_of("true", ("A", "left"), (letter, "left"), ("text", "left"))
    for one in islice(differences(first, other, comparison), MAX_DIFFERENCES):
        text = one.text if one.text_pair is None else f"{one.text} | {one.text_pair}"
        labels = [shorten(escape(_shown(label)), 14) for label in (one.gold, one.first, one.second)]
        table.add_row(*labels, shorten(escape(text), max(20, console.width - sum(map(len, labels)) - 8)))
    console.print(table)


def table_of(first: str, *others: tuple[str, Any]) -> Any:
    """A table in which only the first column gets narrower where the terminal is, because cut numbers mislead.

    The cells of the first column are of `first_cell`, or short.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    table.add_column(first)
    for name, justify in others:
        table.add_column(name, no_wrap=True, justify=justify)
    return table


def _letters(results: Results) -> list[str]:
    return [chr(ord("A") + i) for i in range(len(results.models))]


def first_cell(label: str, width: int = _LABEL_WIDTH) -> Any:
    """A label in at most `width` characters, on one line."""
    from rich.text import Text

    return Text(shorten(escape(label), width), no_wrap=True, overflow="ellipsis")


def _shown(label: object) -> str:
    if isinstance(label, float):
        return f"{label:.3f}"
    return ", ".join(map(str, label)) if isinstance(label, tuple) else str(label)


def _number(name: str, value: float) -> str:
    if "samples" in name and "second" not in name:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if "per_second" in name else f"{value:.4f}"
