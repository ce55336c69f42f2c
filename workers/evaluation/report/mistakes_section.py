"""Which labels the model confuses, and its wrong decisions with the highest scores."""

from html import escape

import numpy as np

from labelstream.workers.evaluation.fitting.outcome import accepted_labels
from labelstream.workers.evaluation.predictions import Kind, Predictions, Text
from labelstream.workers.evaluation.report.tables import Cell, confusion_table, table

MAX_MISTAKES = 20
_MAX_CHARS = 300


def confusion_section(predictions: Predictions) -> str:
    """The confusion matrix; of independent labels one row of counts per label."""
    if predictions.kind is Kind.MULTI_LABEL:
        return f"<section>\n<h2>Confusion by label</h2>\n{_counts(predictions)}\n</section>"
    k = len(predictions.labels)
    pairs = predictions.gold * k + predictions.scores.argmax(1)
    matrix = np.bincount(pairs, minlength=k * k).reshape(k, k)
    return f"<section>\n<h2>Confusion matrix</h2>\n{confusion_table(predictions.labels, matrix)}\n</section>"


def mistakes_section(predictions: Predictions) -> str:
    """The wrong decisions with the highest scores; of a regression the largest differences."""
    rows = {
        Kind.SINGLE_LABEL: _wrong_labels,
        Kind.MULTI_LABEL: _wrong_independent,
        Kind.REGRESSION: _far_numbers,
    }[predictions.kind](predictions)
    if not rows:
        return ""
    header = ("text", "true", "model", "score")
    if predictions.kind is Kind.REGRESSION:
        caption, header = "The largest differences", ("text", "true", "model", "difference")
    else:
        caption = (
            f"The {len(rows)} wrong decisions that the model is most sure of: errors of the model or of the labels"
        )
    return f"<section>\n<h2>Mistakes</h2>\n{table(caption, header, rows, 'texts')}\n</section>"


def _counts(predictions: Predictions) -> str:
    gold = predictions.gold
    chosen = accepted_labels(predictions, {})
    columns = [(gold & chosen).sum(0), (~gold & chosen).sum(0), (gold & ~chosen).sum(0), (~gold & ~chosen).sum(0)]
    rows: list[list[Cell]] = [
        [label, *(int(column[i]) for column in columns)] for i, label in enumerate(predictions.labels)
    ]
    header = ("label", "true positives", "false positives", "false negatives", "true negatives")
    return table("Accepted labels and true labels", header, rows)


def _wrong_labels(predictions: Predictions) -> list[list[Cell]]:
    best, labels = predictions.scores.argmax(1), predictions.labels
    wrong = np.flatnonzero(best != predictions.gold)
    wrong = wrong[np.argsort(-predictions.scores[wrong, best[wrong]], kind="stable")][:MAX_MISTAKES]
    return [
        [
            _shown(predictions.texts[i]),
            labels[predictions.gold[i]],
            labels[best[i]],
            float(predictions.scores[i, best[i]]),
        ]
        for i in wrong
    ]


def _wrong_independent(predictions: Predictions) -> list[list[Cell]]:
    gold = predictions.gold
    surprise = np.where(gold, 1 - predictions.scores, predictions.scores)
    wrong = np.argsort(-surprise.ravel(), kind="stable")[:MAX_MISTAKES]
    rows: list[list[Cell]] = []
    for text, label in zip(*np.unravel_index(wrong, gold.shape), strict=True):
        if surprise[text, label] > 0.5:
            name, has = predictions.labels[label], bool(gold[text, label])
            said = (name, f"not {name}") if has else (f"not {name}", name)
            rows.append([_shown(predictions.texts[text]), *said, float(predictions.scores[text, label])])
    return rows


def _far_numbers(predictions: Predictions) -> list[list[Cell]]:
    difference = predictions.scores - predictions.gold
    far = np.argsort(-abs(difference), kind="stable")[:MAX_MISTAKES]
    return [
        [
            _shown(predictions.texts[i]),
            float(predictions.gold[i]),
            float(predictions.scores[i]),
            float(difference[i]),
        ]
        for i in far
    ]


def _shown(text: Text) -> str:
    whole = " | ".join(part for part in text if part)
    return whole if len(whole) <= _MAX_CHARS else f"{whole[:_MAX_CHARS]}…"


def note(text: str) -> str:
    """A paragraph below a heading."""
    return f'<p class="note">{escape(text)}</p>\n'
