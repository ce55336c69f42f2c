"""Predictions without a model: drawn logits, and gold labels that follow from them by a known temperature."""

import numpy as np
from scipy.special import expit, softmax

from labelstream.workers.engine.description import TaskName
from labelstream.workers.evaluation.predictions import Kind, Predictions


def made_predictions(
    n: int = 600,
    k: int = 3,
    kind: Kind = Kind.SINGLE_LABEL,
    temperature: float = 2.0,
    seed: int = 1,
    scale: float = 4.0,
) -> Predictions:
    """`n` texts whose gold labels are drawn from the scores at `temperature`; the scores have temperature 1."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, scale, (n, k))
    draws = rng.random((n, k))
    if kind is Kind.MULTI_LABEL:
        gold, scores = draws < expit(logits / temperature), expit(logits)
    else:
        true = softmax(logits / temperature, axis=1)
        gold, scores = (draws[:, :1] > true.cumsum(1)[:, :-1]).sum(1), softmax(logits, axis=1)
    return Predictions(
        model="m",
        task=TaskName.TEXT_CLASSIFICATION,
        kind=kind,
        labels=tuple("abcdefghij"[:k]),
        gold=gold,
        scores=scores,
        logits=logits,
        texts=[(f"text number {i}", None) for i in range(n)],
        truncated=np.zeros(n, np.bool_),
        runtime_s=1.0,
    )


def made_regression(n: int = 100) -> Predictions:
    rng = np.random.default_rng(1)
    gold = rng.normal(size=n)
    return Predictions(
        model="m",
        task=TaskName.TEXT_CLASSIFICATION,
        kind=Kind.REGRESSION,
        labels=(),
        gold=gold,
        scores=gold + rng.normal(0, 0.3, n),
        logits=None,
        texts=[(f"text number {i}", None) for i in range(n)],
        truncated=np.zeros(n, np.bool_),
        runtime_s=1.0,
    )
