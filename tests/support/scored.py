"""Scores of sequences without a model."""

import numpy as np

from labelstream.workers.classifier import RecordError
from labelstream.workers.engine.ragged import ScoredSequences


def scored_of(n: int, k: int, errors: dict[int, RecordError] | None = None) -> ScoredSequences:
    ids = np.array([[(row + i) % 3 for i in range(k)] for row in range(n)], np.int32).reshape(n, k)
    scores = np.array([[0.5 / (i + 1) for i in range(k)]] * n, np.float32).reshape(n, k)
    return ScoredSequences(ids, scores, errors or {})
