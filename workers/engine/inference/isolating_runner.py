"""Runs each forward; a forward that fails runs again in halves, down to the row that fails alone."""

import logging

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.engine.backends.pytorch.host_copy import begin_fetch
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.error_text import LESS_MEMORY, is_out_of_memory, one_line
from labelstream.workers.engine.inference.answers import collect
from labelstream.workers.engine.inference.backend import Backend
from labelstream.workers.engine.inference.forward_runner import ForwardRunner
from labelstream.workers.engine.inference.predict_call import PredictCall
from labelstream.workers.engine.inference.scoring import score
from labelstream.workers.engine.ragged import RaggedSequences
from labelstream.workers.errors import InferenceError

logger = logging.getLogger(__name__)

_MIN_BATCH_TOKENS = 64


class IsolatingRunner:
    """Runs forwards, and refuses the rows that fail alone.

    `good_row`: a text that every model can answer. If the device runs out of memory, `runner.max_batch_tokens` is
    lowered for good.
    """

    def __init__(
        self, description: ModelDescription, backend: Backend, runner: ForwardRunner, good_row: RaggedSequences
    ) -> None:
        self._description, self._backend, self._runner, self._good_row = description, backend, runner, good_row

    def run(self, call: PredictCall, rows: NDArray[np.intp]) -> None:
        """Run `rows` of `call`, and refuse the rows that fail alone. Raises InferenceError as `probe` does."""
        try:
            self._forward(call, rows)
            return
        except Exception as error:
            reason, memory = one_line(error), is_out_of_memory(error)
        # Outside the except block, because the exception's frames hold the forward's memory.
        if memory:
            self._backend.free_memory()
            if len(rows) > 1:
                self._shrink_budget(self._runner.slots_of(call.of.packed.lengths[rows]))
        else:
            self.probe()
        if len(rows) == 1:
            call.refuse(int(rows[0]), f"{reason}; {LESS_MEMORY}" if memory else reason)
            return
        half = len(rows) // 2
        self.run(call, rows[:half])
        self.run(call, rows[half:])

    def probe(self) -> None:
        """Run the good row. Raises InferenceError if that row fails: the model or its device is broken."""
        call = PredictCall(self._good_row, 1, self._description)
        try:
            self._forward(call, np.zeros(1, np.intp))
            failed = collect(call, begin_fetch([scored for _, scored in call.done], self._backend.mark)).errors
        except Exception as error:
            raise InferenceError(f"the model fails on any text: {one_line(error)}") from error
        if failed:
            raise InferenceError(f"the model fails on any text: {failed[0].message}")

    def _forward(self, call: PredictCall, rows: NDArray[np.intp]) -> None:
        call.forwards[rows] += 1
        logits = self._runner.logits(call.of, rows)
        description = self._description
        if logits.shape != (len(rows), description.outputs):
            raise InferenceError(f"the model gave logits of shape {tuple(logits.shape)} for {len(rows)} rows")
        packed, top_k = call.of.packed, call.width if call.ranked else None
        scorings = packed.scorings_of(rows.tolist()) if packed.scorings else None
        scored = score(logits, description.activation, top_k, scorings, description.temperature)
        call.done.append((rows, scored))

    def _shrink_budget(self, failed_tokens: int) -> None:
        smaller = max(_MIN_BATCH_TOKENS, failed_tokens // 2)
        if smaller < self._runner.max_batch_tokens:
            logger.warning(
                "out of memory with a forward of %d tokens; max_batch_tokens is now %d", failed_tokens, smaller
            )
            self._runner.max_batch_tokens = smaller
