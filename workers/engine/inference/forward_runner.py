"""Makes the input of each forward, with or without padding, runs it, and counts the tokens that were run."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from labelstream.workers.engine.inference.backend import Backend, UnpaddedBackend
from labelstream.workers.engine.inference.forward_layout import pack, pad
from labelstream.workers.engine.inference.predict_call import Rows


class PaddingCosts(NamedTuple):
    """What `forward_plan.plan` weighs against padding; see there."""

    overhead_tokens: int
    step: int = 1


# By device. A forward costs a CPU the reading of the weights, and a GPU the wait for kernel launches. On an H200 the
# launches took 3.2 ms, in which the GPU computes 15,000 tokens of DistilBERT, fewer of a larger model. With a step of 1
# the plan would take longer than the GPU can wait.
PADDING_COSTS = {"cpu": PaddingCosts(64), "cuda": PaddingCosts(8192, step=8)}
LENGTHS_APART = PaddingCosts(0)  # without overhead the plan separates all lengths


class ForwardRunner:
    """Runs rows as one forward of `backend`, without padding if the backend `packs`.

    `max_batch_tokens`: of a forward, padding included. `packing`: the backend if forwards have no padding, else None.
    `padding_costs`: for the plan of padded forwards. `tokens`, `slots`: tokens run since the start, without and with
    padding.
    """

    def __init__(self, backend: Backend, max_batch_tokens: int) -> None:
        self._backend, self.max_batch_tokens = backend, max_batch_tokens
        self.packing = backend if isinstance(backend, UnpaddedBackend) and backend.packs else None
        self.padding_costs = PADDING_COSTS[backend.device_type]
        self.tokens = self.slots = 0

    def slots_of(self, lengths: NDArray[np.int32]) -> int:
        """Tokens of one forward of sequences of these lengths, with padding if the forward is padded."""
        return int(lengths.sum()) if self.packing is not None else int(lengths.max()) * len(lengths)

    def logits(self, of: Rows, rows: NDArray[np.intp]) -> torch.Tensor:
        """Run `rows` as one forward; see `Backend.logits`. Row i of the result belongs to `rows[i]`."""
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
