"""One call in progress: its sequences, and what has come of each."""

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.classifier import Fault, RecordError
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.inference.scoring import Scored
from labelstream.workers.engine.ragged import RaggedSequences


class Rows:
    """Ragged sequences with the start of each."""

    def __init__(self, packed: RaggedSequences) -> None:
        self.packed = packed
        self.starts = np.zeros(len(packed.lengths), np.int64)
        np.cumsum(packed.lengths[:-1], out=self.starts[1:])

    def any_in(self, tokens: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether any token of each sequence is True: bool [sum(lengths)] -> bool [n]."""
        return np.logical_or.reduceat(tokens, self.starts)


class PredictCall:
    """One `Predictor.predict` in progress.

    `width`: scores per row. `ranked`: whether these are the best labels' scores. `forwards`: int32 [n], how often each
    row was given to the model. `done`: (rows, their scores, which may still be on the device). `errors`: row -> its
    error.
    """

    def __init__(self, packed: RaggedSequences, top_k: int, description: ModelDescription) -> None:
        outputs, self.ranked = description.outputs, description.ranked
        self.of = Rows(packed)
        self.width = min(top_k, outputs) if self.ranked else outputs
        self.forwards = np.zeros(len(packed.lengths), np.int32)
        self.done: list[tuple[NDArray[np.intp], Scored]] = []
        self.errors: dict[int, RecordError] = {}

    def refuse(self, row: int, message: str) -> None:
        """Note the error of a row."""
        self.errors[row] = RecordError(Fault.INFERENCE_FAILED, message, max(1, int(self.forwards[row])))
