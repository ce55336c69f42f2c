"""The plots of the report: reliability, histograms of scores, precision and recall."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.evaluation.fitting.outcome import Proportion
from labelstream.workers.evaluation.fitting.reliability import BINS, Calibration
from labelstream.workers.evaluation.predictions import Kind, Predictions
from labelstream.workers.evaluation.report.vector_graphics import DASHES, FAINT, INK, SERIES, plotting, svg_of

MAX_CURVES = 6  # labels in one plot; more curves cannot be told apart
MAX_HISTOGRAMS = 12
_SIZE = (4.4, 3.6)
_WRONG, _RIGHT = SERIES[1], SERIES[0]


def most_frequent(predictions: Predictions, most: int) -> list[int]:
    """The indexes of the `most` labels that most texts have, in the order of the labels."""
    counts = label_texts(predictions)
    return sorted(np.argsort(-counts, kind="stable")[:most].tolist())


def label_texts(predictions: Predictions) -> NDArray[np.int64]:
    """[k]: the number of texts that have each label."""
    if predictions.kind is Kind.MULTI_LABEL:
        return predictions.gold.sum(0)
    return np.bincount(predictions.gold, minlength=len(predictions.labels))


def has_label(predictions: Predictions, label: int) -> NDArray[np.bool_]:
    """[n] bool: the texts that have the label."""
    return predictions.gold[:, label] if predictions.kind is Kind.MULTI_LABEL else predictions.gold == label


def reliability_plot(curves: Sequence[tuple[str, Calibration]], name: str) -> str:
    """One curve per calibration, above a histogram of its scores."""
    with plotting() as figure_of:
        figure = figure_of(figsize=(_SIZE[0], 4.4))
        top, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        top.plot([0, 1], [0, 1], color=FAINT, linewidth=1, label="score = share of right ones")
        for i, (label, found) in enumerate(curves):
            x = [one.confidence for one in found.bins]
            y = [one.accuracy for one in found.bins]
            intervals = [Proportion(round(one.accuracy * one.size), one.size).interval for one in found.bins]
            top.vlines(x, *zip(*intervals, strict=True), color=SERIES[i], linewidth=1, alpha=0.55)
            top.plot(x, y, color=SERIES[i], linestyle=DASHES[i], marker="os"[i % 2], markersize=4, label=label)
            counts = np.zeros(BINS)
            for one in found.bins:
                counts[min(BINS - 1, round(one.low * BINS))] = one.size
            edges = np.linspace(0, 1, BINS + 1)
            below.stairs(counts, edges, color=SERIES[i], linestyle=DASHES[i], linewidth=1.4)
        low = min(one.low for _, found in curves for one in found.bins)
        top.set(xlim=(low - 0.02, 1.02), ylim=(0, 1.02), ylabel="share of right ones")
        top.legend(loc="upper left", bbox_to_anchor=(0, 1.28), ncols=1, borderpad=0)
        below.set(xlabel="score", ylabel="decisions")
        _whole_numbers(below)
        title = "Reliability: share of right decisions by score, " + "; ".join(label for label, _ in curves)
        return svg_of(figure, name, title)


def histogram(predictions: Predictions, label: int, threshold: float | None, name: str) -> str:
    """Scores of one label: right ones upwards, wrong ones downwards.

    Of the texts whose best label it is, or of all texts if labels are independent.
    """
    scores = predictions.scores[:, label]
    has, exclusive = has_label(predictions, label), predictions.kind is Kind.SINGLE_LABEL
    rows = predictions.scores.argmax(1) == label if exclusive else np.ones(len(scores), np.bool_)
    with plotting() as figure_of:
        figure = figure_of(figsize=(_SIZE[0], 2.8))
        axis = figure.subplots()
        low = 1 / len(predictions.labels) if exclusive else 0.0
        edges = np.linspace(min(low, 0.98), 1, 26)
        right, wrong = (np.histogram(scores[rows & which], edges)[0] for which in (has, ~has))
        middle, width = (edges[:-1] + edges[1:]) / 2, np.diff(edges)
        names = ("right", "wrong") if exclusive else ("with", "without")
        axis.bar(middle, right, width, color=_RIGHT, label=f"{names[0]} ({right.sum():,})", edgecolor="none")
        hatched: dict[str, Any] = {"hatch": "////", "edgecolor": INK, "linewidth": 0.4}
        axis.bar(middle, -wrong, width, color=_WRONG, label=f"{names[1]} ({wrong.sum():,})", **hatched)
        axis.axhline(0, color=INK, linewidth=0.8)
        if threshold is not None:
            axis.axvline(threshold, color=INK, linestyle="--", linewidth=1.2, label=f"threshold {threshold:g}")
        most = max(10.0, 1.5 * right.max(initial=1), 1.5 * wrong.max(initial=1))
        axis.set_yscale("symlog", linthresh=1, linscale=0.5)
        ticks = [sign * 10**power for sign in (-1, 1) for power in range(int(np.log10(most)) + 1)]
        axis.set_yticks([0, *ticks], [f"{abs(tick):,}" for tick in (0, *ticks)])
        axis.minorticks_off()
        axis.set(xlim=(edges[0], 1), ylim=(-most, most), xlabel="score", ylabel="texts, logarithmic")
        axis.legend(
            loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, borderpad=0, columnspacing=1, handlelength=1.4
        )
        said = f"Scores of {predictions.labels[label]}: {right.sum()} {names[0]}, {wrong.sum()} {names[1]}"
        return svg_of(figure, name, said)


def precision_recall_plot(predictions: Predictions, labels: Sequence[int], name: str) -> str:
    """Precision against recall for each threshold of each label against the rest."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    with plotting() as figure_of:
        figure = figure_of(figsize=_SIZE)
        axis = figure.subplots()
        for i, label in enumerate(labels):
            has, scores = has_label(predictions, label), predictions.scores[:, label]
            precision, recall, _ = precision_recall_curve(has, scores)
            average = average_precision_score(has, scores)
            shown = f"{average:.3f} {shortened(predictions.labels[label])}"  # matplotlib hides names that start with _
            axis.step(recall, precision, where="post", color=SERIES[i], linestyle=DASHES[i], label=shown, linewidth=1.6)
        axis.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
        axis.legend(loc="lower left", title="average precision, label", title_fontsize=9, alignment="left")
        names = ", ".join(predictions.labels[label] for label in labels)
        return svg_of(figure, name, f"Precision against recall: {names}")


def regression_plot(predictions: Predictions, name: str) -> str:
    """Predicted number against true number."""
    with plotting() as figure_of:
        figure = figure_of(figsize=_SIZE)
        axis = figure.subplots()
        low = float(min(predictions.gold.min(), predictions.scores.min()))
        high = float(max(predictions.gold.max(), predictions.scores.max()))
        axis.plot([low, high], [low, high], color=FAINT, linewidth=1)
        shown = np.random.default_rng(0).permutation(len(predictions))[:2_000]  # an SVG of more points is slow
        axis.plot(
            predictions.gold[shown], predictions.scores[shown], "o", color=SERIES[0], markersize=3, alpha=0.6, mew=0
        )
        axis.set(xlabel="true number", ylabel="number of the model")
        return svg_of(figure, name, "Predicted against true numbers")


def shortened(label: str, most: int = 28) -> str:
    """At most `most` characters of a label."""
    label = " ".join(label.split())
    return label if len(label) <= most else f"{label[: most - 1]}…"


def _whole_numbers(axis: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.yaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True, min_n_ticks=1))
