"""Makes batches for the backend, with or without padding, and counts the tokens that were run."""

import logging

import numpy as np
import torch
from numpy.typing import NDArray

from labelstream.workers.engine.inference.backend import Backend, UnpaddedBackend
from labelstream.workers.engine.inference.batch_layout import pack, pad
from labelstream.workers.engine.inference.batch_plan import plan, plan_packed
from labelstream.workers.engine.ragged import RaggedSequences

logger = logging.getLogger(__name__)

# Fixed cost of a forward, in tokens: a CPU reads the weights, a GPU waits for kernel launches. On an H200 the launches
# took 3.2 ms, in which the GPU computes 15,000 tokens of DistilBERT, fewer of a larger model.
_OVERHEAD_TOKENS = {"cpu": 64, "cuda": 8192}
_STEP = {"cpu": 1, "cuda": 8}  # a finer plan would take longer than the GPU can wait


class Rows:
    """Ragged sequences with the start of each."""

    def __init__(self, packed: RaggedSequences) -> None:
        self.packed = packed
        self.starts = np.zeros(len(packed.lengths), np.int64)
        np.cumsum(packed.lengths[:-1], out=self.starts[1:])

    def any_in(self, tokens: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether any token of each sequence is True: bool [sum(lengths)] -> bool [n]."""
        return np.logical_or.reduceat(tokens, self.starts)


class BatchRunner:
    """Makes and runs batches for `backend`, without padding if the backend `packs`.

    `packing`: the backend if batches have no padding, else None. `pads`: whether texts of different lengths may share a
    padded batch. `tokens`, `slots`: tokens run since the start, without and with padding.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.packing = backend if isinstance(backend, UnpaddedBackend) and backend.packs else None
        self.pads = True
        self.tokens = self.slots = 0

    def plan(self, lengths: NDArray[np.int32], max_batch_tokens: int) -> list[NDArray[np.intp]]:
        """Split sequences of these lengths into batches, see `batch_plan.plan`."""
        if self.packing is not None:
            return plan_packed(lengths, max_batch_tokens)
        if not self.pads:  # without overhead the plan separates all lengths
            return plan(lengths, max_batch_tokens, overhead_tokens=0)
        device = self._backend.device_type
        return plan(lengths, max_batch_tokens, _OVERHEAD_TOKENS[device], _STEP[device])

    def slots_of(self, lengths: NDArray[np.int32]) -> int:
        """Tokens of one batch of sequences of these lengths, with padding if the batch is padded."""
        return int(lengths.sum()) if self.packing is not None else int(lengths.max()) * len(lengths)

    def logits(self, of: Rows, rows: NDArray[np.intp]) -> torch.Tensor:
        """Run `rows` as one batch; see `Backend.logits`. Row i of the result belongs to `rows[i]`."""
        return self.padded(of, rows) if self.packing is None else self.packed(self.packing, of, rows)

    def padded(self, of: Rows, rows: NDArray[np.intp]) -> torch.Tensor:
        """As `logits`, always with padding."""
        batch = pad(of.packed, of.starts, rows, self._backend.pad_id)
        self.tokens += int(batch.lengths.sum())
        self.slots += batch.ids.size
        return self._backend.logits(batch)

    def packed(self, packing: UnpaddedBackend, of: Rows, rows: NDArray[np.intp]) -> torch.Tensor:
        """As `logits`, always without padding."""
        batch = pack(of.packed, of.starts, rows)
        self.tokens += len(batch.ids)
        self.slots += len(batch.ids)
        return packing.packed_logits(batch)
