"""Predictions of each kind, drawn with a seed."""

import numpy as np

from labelstream.workers.engine.description import TaskName
from labelstream.workers.evaluation.predictions import Kind, Predictions


def single_label(n: int = 300, labels: tuple[str, ...] = ("no", "maybe", "yes"), seed: int = 0) -> Predictions:
    """Labels that exclude each other, of which about half are right."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(len(labels), size=n)
    logits = rng.normal(size=(n, len(labels))) + 1.5 * np.eye(len(labels))[gold]
    scores = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return _predictions(Kind.SINGLE_LABEL, labels, gold, scores)


def multi_label(n: int = 300, labels: tuple[str, ...] = ("a", "b", "c"), seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    gold = rng.random((n, len(labels))) < 0.4
    scores = 1 / (1 + np.exp(-rng.normal(size=gold.shape) - 2.0 * (gold - 0.5)))
    return _predictions(Kind.MULTI_LABEL, labels, gold, scores)


def regression(n: int = 300, seed: int = 0) -> Predictions:
    """Targets with ties, as people give them."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, 11, size=n) / 2
    return _predictions(Kind.REGRESSION, (), gold, gold + rng.normal(size=n))


def _predictions(kind: Kind, labels: tuple[str, ...], gold: np.ndarray, scores: np.ndarray) -> Predictions:
    n = len(scores)
    texts = [(f"text {i}", None) for i in range(n)]
    return Predictions(
        "m", TaskName.TEXT_CLASSIFICATION, kind, labels, gold, scores, None, texts, np.zeros(n, bool), 2.0
    )
