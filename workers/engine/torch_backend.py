"""The model in torch, as transformers built it."""

import inspect
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import pad

from workers.engine.batcher import PackedBatch, PaddedBatch
from workers.engine.graphs import Graphs, Inputs
from workers.engine.packing import Packing, positions_of, takes_4d_masks
from workers.engine.reading import Reading
from workers.engine.shapes import round_packed, round_padded
from workers.engine.staging import stager_for
from workers.engine.varlen import kernels


class TorchBackend:
    """Satisfies `workers.engine.backend.PackingBackend`. `model`: in eval mode, on its device; `read`: runs it.

    `takes_type_ids`: whether transformers' tokenizer gives this model type ids; others never see them. `packing`: how
    it runs without padding, where it does. `graphs`: for forwards of at most `max_length` tokens a sequence.
    """

    def __init__(
        self, model: torch.nn.Module, read: Reading, pad_id: int, vocab_size: int, takes_type_ids: bool,
        packing: Packing | None = None, graphs: Graphs | None = None, max_length: int = 512,
    ) -> None:
        self._read, self._packing, self._graphs, self._max_length = read, packing, graphs, max_length
        self._device = next(model.parameters()).device
        self._stage = stager_for(self._device)
        self._takes_type_ids = takes_type_ids
        self._fixed: dict[str, Any] = {"return_dict": True}
        if "use_cache" in inspect.signature(model.forward).parameters:
            self._fixed["use_cache"] = False
        self.device_type: str = self._device.type
        # On a CPU a look into the mask costs nothing, and without padding attention is faster.
        self._wide_masks = self.device_type == "cuda" and takes_4d_masks(model)
        self.dtype: torch.dtype = next(model.parameters()).dtype
        self.pad_id = pad_id
        self.vocab_size = vocab_size
        self.packs = packing is not None

    def logits(self, batch: PaddedBatch) -> torch.Tensor:
        """[n, outputs] in floating point; on cuda it is still being computed."""
        n, width = batch.ids.shape
        shape = None if self._graphs is None else round_padded(n, width, self._max_length)
        with torch.inference_mode():
            if self._graphs is None or shape is None:
                masked = int(batch.lengths.min()) < width  # without padding no mask: attention is faster then
                return self._padded(self._stage(_arrays(batch, masked)))
            inputs = self._stage(_arrays(_grown(batch, *shape, self.pad_id), True))
            return self._graphs.run((*shape, *inputs), inputs, self._padded)[:n]

    def packed_logits(self, batch: PackedBatch) -> torch.Tensor:
        """As `logits`, without padding. Only where it `packs`."""
        assert self._packing is not None
        first = self._packing.padding_position
        longest = int(batch.lengths.max())
        arrays = {"ids": batch.ids, "positions": positions_of(batch, first), "lengths": batch.lengths,
                  "rows": batch.starts if batch.targets is None else batch.starts + batch.targets}
        if batch.type_ids is not None:
            arrays["type_ids"] = batch.type_ids
        with torch.inference_mode():
            if self._graphs is None:
                return self._packed(self._stage(arrays), longest)
            n = len(batch.lengths)
            tokens, count, longest = round_packed(len(batch.ids), n, longest)
            # What is added lies behind the last sequence: tokens of none, and sequences of no tokens.
            fill = {"ids": (tokens, self.pad_id), "positions": (tokens, first or 0), "type_ids": (tokens, 0),
                    "lengths": (count, 0), "rows": (count, 0)}
            inputs = self._stage({name: _lengthened(values, *fill[name]) for name, values in arrays.items()})
            return self._graphs.run(
                (tokens, count, longest, *inputs), inputs, lambda inputs: self._packed(inputs, longest))[:n]

    def memory(self) -> dict[str, int]:
        """See `Backend.memory`. From any thread."""
        if self.device_type != "cuda":
            return {}
        return {"used": torch.cuda.memory_allocated(self._device),
                "reserved": torch.cuda.memory_reserved(self._device),
                "total": torch.cuda.mem_get_info(self._device)[1]}

    def free_memory(self) -> None:
        """Return the recordings' memory and the allocator's cached blocks to the device."""
        if self.device_type == "cuda":
            torch.cuda.synchronize(self._device)  # no recording may be under way
        if self._graphs is not None:
            self._graphs.clear()
        if self.device_type == "cuda":
            torch.cuda.empty_cache()

    def _padded(self, staged: Inputs) -> torch.Tensor:
        ids = staged["ids"]
        inputs: dict[str, Any] = {"input_ids": ids, **self._fixed}
        if "lengths" in staged:
            mask = torch.arange(ids.shape[1], device=self._device) < staged["lengths"][:, None]
            inputs["attention_mask"] = mask[:, None, None] if self._wide_masks else mask.long()
        if self._takes_type_ids:
            inputs["token_type_ids"] = staged["type_ids"] if "type_ids" in staged else torch.zeros_like(ids)
        return self._read(inputs, staged.get("targets"))

    def _packed(self, staged: Inputs, longest: int) -> torch.Tensor:
        assert self._packing is not None
        ids, lengths = staged["ids"][None], staged["lengths"]
        inputs: dict[str, Any] = {
            "input_ids": ids, "position_ids": staged["positions"][None], **self._fixed,
            "cu_seq_lens_q": pad(lengths.cumsum(0), (1, 0)).int(), "max_length_q": longest,
        }
        if self._takes_type_ids:
            inputs["token_type_ids"] = staged["type_ids"][None] if "type_ids" in staged else torch.zeros_like(ids)
        with kernels(self.device_type):
            return self._packing.read(inputs, staged["rows"], lengths)


def _arrays(batch: PaddedBatch, masked: bool) -> dict[str, NDArray[np.int64]]:
    arrays = {"ids": batch.ids}
    if masked:
        arrays["lengths"] = batch.lengths
    if batch.type_ids is not None:
        arrays["type_ids"] = batch.type_ids
    if batch.targets is not None:
        arrays["targets"] = batch.targets
    return arrays


def _grown(batch: PaddedBatch, count: int, width: int, pad_id: int) -> PaddedBatch:
    """With more padding, and with rows of one padding token."""
    n, old = batch.ids.shape
    more = ((0, count - n), (0, width - old))
    return PaddedBatch(
        np.pad(batch.ids, more, constant_values=pad_id),
        _lengthened(batch.lengths, count, 1),
        None if batch.type_ids is None else np.pad(batch.type_ids, more),
        None if batch.targets is None else _lengthened(batch.targets, count, 0),
    )


def _lengthened(values: NDArray[np.int64], size: int, value: int) -> NDArray[np.int64]:
    return np.pad(values, (0, size - len(values)), constant_values=value)
