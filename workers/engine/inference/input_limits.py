"""Checks that sequences fit the model's tables, before they reach the device."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.inference import self_check
from labelstream.workers.engine.inference.backend import Backend
from labelstream.workers.engine.inference.predict_call import PredictCall
from labelstream.workers.engine.ragged import Scoring
from labelstream.workers.errors import InferenceError


class InputLimits:
    """The ids, type ids and lengths that a model takes.

    An index outside a table breaks a GPU's context for the whole process. Other devices may return wrong answers.
    """

    def __init__(self, description: ModelDescription, backend: Backend) -> None:
        self._longest, self._outputs = description.max_length, description.outputs
        self._vocab, self._types = backend.vocab_size, backend.type_vocab_size

    def rows_within(self, call: PredictCall) -> NDArray[np.intp]:
        """The rows of `call` that the model takes; refuses the others.

        Raises InferenceError if the arrays of `call` contradict each other.
        """
        packed = call.of.packed
        n = len(packed.lengths)
        if int(packed.lengths.sum()) != len(packed.ids) or (n and int(packed.lengths.min()) < 1):
            raise InferenceError(f"{len(packed.ids)} ids do not fill {n} sequences; caller and model disagree")
        if packed.targets is not None and not _within(packed.targets, packed.lengths):
            raise InferenceError("targets lie outside of their sequences; caller and model disagree")
        if not _known_labels(packed.scorings, self._outputs):
            raise InferenceError("label ids lie outside of the model's labels; caller and model disagree")
        wrong_types = _from(self._types, packed.type_ids)
        if not n or (
            packed.lengths.max() <= self._longest
            and packed.ids.max() < self._vocab
            and packed.ids.min() >= 0
            and wrong_types is None
        ):
            return np.arange(n)
        return self._refuse(call, wrong_types)

    def _refuse(self, call: PredictCall, wrong_types: NDArray[np.bool_] | None) -> NDArray[np.intp]:
        packed = call.of.packed
        outside = (packed.ids < 0) | (packed.ids >= self._vocab)
        bad = call.of.any_in(outside) | (packed.lengths > self._longest)
        for row in np.flatnonzero(bad).tolist():
            message = f"token ids of another tokenizer: the model takes {self._longest} ids below {self._vocab}"
            call.refuse(row, message)
        if wrong_types is not None:
            of_types = call.of.any_in(wrong_types) & ~bad
            for row in np.flatnonzero(of_types).tolist():
                call.refuse(row, self_check.outside_types(self._types))
            bad |= of_types
        return np.flatnonzero(~bad)


def _within(targets: NDArray[np.int32], lengths: NDArray[np.int32]) -> bool:
    return len(targets) == len(lengths) and bool(((targets >= 0) & (targets < lengths)).all())


def _known_labels(scorings: Mapping[int, Scoring] | None, outputs: int) -> bool:
    return not scorings or all(
        0 <= label < outputs for scoring in scorings.values() for label in scoring.label_ids or ()
    )


def _from(size: int | None, type_ids: NDArray[np.uint8] | None) -> NDArray[np.bool_] | None:
    """Which `type_ids` are `size` or more, bool [sum(lengths)]; None if there are none."""
    if size is None or type_ids is None:
        return None
    outside = type_ids >= size
    return outside if outside.any() else None
