"""The OpenVINO backend, for CPUs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from labelstream.workers.engine.inference.backend import done_already
from labelstream.workers.engine.inference.forward_layout import PaddedBatch


class OpenVINOBackend:
    """A `labelstream.workers.engine.inference.backend.Backend`.

    `compiled`: an `openvino.CompiledModel` whose inputs are some of input_ids, attention_mask, token_type_ids and
    targets. `dtype`: the number format of the computation, int8 if quantized. `type_vocab_size`: see `Backend`.
    """

    device_type = "cpu"

    def __init__(
        self, compiled: Any, dtype: torch.dtype, pad_id: int, vocab_size: int, type_vocab_size: int | None
    ) -> None:
        self._request = compiled.create_infer_request()
        self._names = tuple(port.get_any_name() for port in compiled.inputs)
        self.dtype, self.pad_id = dtype, pad_id
        self.vocab_size, self.type_vocab_size = vocab_size, type_vocab_size

    def logits(self, batch: PaddedBatch) -> torch.Tensor:
        """float32 [n, outputs]"""
        given = arrays(batch)
        self._request.infer([given[name] for name in self._names], share_inputs=True)
        # Copied, because the next call writes to the same memory.
        return torch.from_numpy(self._request.get_output_tensor(0).data.astype(np.float32, copy=True))

    def mark(self) -> Callable[[], None]:
        """See `Backend.mark`."""
        return done_already

    def memory(self) -> dict[str, int]:
        """Empty: see `Backend.memory`."""
        return {}

    def free_memory(self) -> None:
        """Free the infer request's buffers, which have the size of the largest batch so far."""
        self._request = self._request.get_compiled_model().create_infer_request()


def arrays(batch: PaddedBatch) -> dict[str, NDArray[np.int64]]:
    """All inputs that a converted model may have, by name; see `conversion.input_names`."""
    n, width = batch.ids.shape
    return {
        "input_ids": batch.ids,
        "attention_mask": (np.arange(width) < batch.lengths[:, None]).astype(np.int64),
        "token_type_ids": np.zeros_like(batch.ids) if batch.type_ids is None else batch.type_ids,
        "targets": np.zeros(n, np.int64) if batch.targets is None else batch.targets,
    }
