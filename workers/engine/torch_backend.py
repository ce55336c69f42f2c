"""The model in torch, as transformers built it."""

import inspect
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from workers.engine.batcher import PaddedBatch
from workers.engine.reading import Reading


class TorchBackend:
    """Satisfies `workers.engine.backend.Backend`. `model`: in eval mode, on its device; `read`: runs it.

    `takes_type_ids`: whether transformers' tokenizer gives this model type ids; others never see them.
    """

    def __init__(
        self, model: torch.nn.Module, read: Reading, pad_id: int, vocab_size: int, takes_type_ids: bool
    ) -> None:
        self._read = read
        self._device = next(model.parameters()).device
        self._takes_type_ids = takes_type_ids
        self._fixed: dict[str, Any] = {"return_dict": True}
        if "use_cache" in inspect.signature(model.forward).parameters:
            self._fixed["use_cache"] = False
        self.device_type: str = self._device.type
        self.dtype: torch.dtype = next(model.parameters()).dtype
        self.pad_id = pad_id
        self.vocab_size = vocab_size

    def logits(self, batch: PaddedBatch) -> torch.Tensor:
        """[n, outputs] in floating point; on cuda it is still being computed."""
        width = batch.ids.shape[1]
        inputs: dict[str, Any] = {"input_ids": self._to_device(batch.ids), **self._fixed}
        with torch.inference_mode():
            if int(batch.lengths.min()) < width:  # without padding no mask: attention is faster then
                lengths = self._to_device(batch.lengths)
                mask = torch.arange(width, device=self._device) < lengths[:, None]
                inputs["attention_mask"] = mask.long()
            if self._takes_type_ids:
                inputs["token_type_ids"] = (
                    torch.zeros_like(inputs["input_ids"]) if batch.type_ids is None else self._to_device(batch.type_ids)
                )
            return self._read(inputs, None if batch.targets is None else self._to_device(batch.targets))

    def memory(self) -> dict[str, int]:
        """See `Backend.memory`. From any thread."""
        if self.device_type != "cuda":
            return {}
        return {"used": torch.cuda.memory_allocated(self._device),
                "reserved": torch.cuda.memory_reserved(self._device),
                "total": torch.cuda.mem_get_info(self._device)[1]}

    def free_memory(self) -> None:
        """Return the allocator's cached blocks to the device."""
        if self.device_type == "cuda":
            torch.cuda.empty_cache()

    def _to_device(self, values: NDArray[np.int64]) -> torch.Tensor:
        tensor = torch.from_numpy(values)
        if self.device_type == "cuda":
            return tensor.pin_memory().to(self._device, non_blocking=True)
        return tensor
