"""Waits for the scores of a call, and puts them in the order of its sequences."""

from collections.abc import Callable

import numpy as np

from labelstream.workers.engine.backends.pytorch.host_copy import HostCopy
from labelstream.workers.engine.error_text import one_line
from labelstream.workers.engine.inference.predict_call import PredictCall
from labelstream.workers.engine.inference.self_check import NOT_FINITE
from labelstream.workers.engine.ragged import ScoredSequences
from labelstream.workers.errors import InferenceError


def answers(call: PredictCall, fetch: Callable[[], HostCopy] | None, probe: Callable[[], None]) -> ScoredSequences:
    """As `collect`, and calls `probe` if a row has an error. Raises InferenceError if the scores are lost."""
    try:
        scored = collect(call, fetch)
    except InferenceError:
        raise
    except Exception as error:
        raise lost(error) from error
    if scored.errors:
        probe()
    return scored


def collect(call: PredictCall, fetch: Callable[[], HostCopy] | None) -> ScoredSequences:
    """The scores of `call` in the order of its sequences, and its errors.

    `fetch`: waits for the scores of `call.done`; None if no row was run. Raises what the device raised, and
    InferenceError if rows are missing.
    """
    n = len(call.of.packed.lengths)
    label_ids = np.zeros((n, call.width), np.int32) if call.ranked else None
    scores = np.full((n, call.width), np.nan, np.float32)
    count = len(call.errors)
    if fetch is not None:
        fetched = fetch()
        rows = np.concatenate([rows for rows, _ in call.done])
        count += len(rows)
        if label_ids is not None and fetched.label_ids is not None:
            label_ids[rows] = fetched.label_ids
        scores[rows] = fetched.scores
        for row in rows[~fetched.finite].tolist():
            scores[row] = np.nan
            call.refuse(row, NOT_FINITE)
    if count != n:
        raise InferenceError(f"{count} answers for {n} sequences")
    return ScoredSequences(label_ids, scores, call.errors)


def lost(error: Exception) -> InferenceError:
    """The error of a call whose answers are lost with `error`."""
    return InferenceError(f"the model's answers were lost: {one_line(error)}")
