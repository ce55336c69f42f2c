"""Rows of packed sequences -> batches for the backend, with padding or without, and how much was run."""

import logging

import numpy as np
import torch
from numpy.typing import NDArray

from labelstream.workers.engine.inference.backend import Backend, UnpaddedBackend
from labelstream.workers.engine.inference.batch_plan import pack, pad, plan, plan_packed
from labelstream.workers.engine.ragged import RaggedSequences

logger = logging.getLogger(__name__)

# What a forward costs however little is in it: on a CPU reading the weights, on a GPU launching the kernels. Launching
# took 3.2 ms beside an H200, which computes 15,000 of DistilBERT's tokens meanwhile, and fewer of a larger model's.
_OVERHEAD_TOKENS = {"cpu": 64, "cuda": 8192}
_STEP = {"cpu": 1, "cuda": 8}  # a GPU has no time to wait for a finer plan


class Rows:
    """Sequences, and where each of them starts."""

    def __init__(self, packed: RaggedSequences) -> None:
        self.packed = packed
        self.starts = np.zeros(len(packed.lengths), np.int64)
        np.cumsum(packed.lengths[:-1], out=self.starts[1:])

    def any_in(self, tokens: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Of each sequence whether any of its tokens is True: bool [n] of bool [sum(lengths)]."""
        return np.logical_or.reduceat(tokens, self.starts)


class BatchRunner:
    """Makes batches for `backend`, without padding as long as that one `packs`.

    `pads`: whether texts of different lengths share a batch. `tokens`, `slots`: run since the start, without and with
    padding.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.packing = backend if isinstance(backend, UnpaddedBackend) and backend.packs else None
        self.pads = True
        self.tokens = self.slots = 0

    def plan(self, lengths: NDArray[np.int32], max_batch_tokens: int) -> list[NDArray[np.intp]]:
        """The batches of sequences of these lengths, as `batch_plan.plan` gives them."""
        if self.packing is not None:
            return plan_packed(lengths, max_batch_tokens)
        if not self.pads:  # a forward that costs nothing by itself is cheaper than any padding
            return plan(lengths, max_batch_tokens, overhead_tokens=0)
        device = self._backend.device_type
        return plan(lengths, max_batch_tokens, _OVERHEAD_TOKENS[device], _STEP[device])

    def slots_of(self, lengths: NDArray[np.int32]) -> int:
        """What sequences of these lengths count together, as one batch."""
        return int(lengths.sum()) if self.packing is not None else int(lengths.max()) * len(lengths)

    def logits(self, of: Rows, rows: NDArray[np.intp]) -> torch.Tensor:
        """Of `rows`, in their order; see `Backend.logits`."""
        return self.padded(of, rows) if self.packing is None else self.packed(self.packing, of, rows)

    def padded(self, of: Rows, rows: NDArray[np.intp]) -> torch.Tensor:
        """`logits`, in any case with padding."""
        batch = pad(of.packed, of.starts, rows, self._backend.pad_id)
        self.tokens += int(batch.lengths.sum())
        self.slots += batch.ids.size
        return self._backend.logits(batch)

    def packed(self, packing: UnpaddedBackend, of: Rows, rows: NDArray[np.intp]) -> torch.Tensor:
        """`logits`, in any case without padding."""
        batch = pack(of.packed, of.starts, rows)
        self.tokens += len(batch.ids)
        self.slots += len(batch.ids)
        return packing.packed_logits(batch)
