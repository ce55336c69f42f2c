"""The torch backend, which runs the model that transformers builds."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from labelstream.workers.engine.backends.pytorch.attention_blocks import count_blocks
from labelstream.workers.engine.backends.pytorch.buckets import ShapeBucket, ShapeBuckets, fill_up, layout_of
from labelstream.workers.engine.backends.pytorch.cuda_graphs import CudaGraphs
from labelstream.workers.engine.backends.pytorch.heads import OutputHead
from labelstream.workers.engine.backends.pytorch.pinned_copy import copier_for, size_of
from labelstream.workers.engine.backends.pytorch.unpadded import UnpaddedFamily, positions_of, takes_4d_masks
from labelstream.workers.engine.backends.pytorch.varlen_attention import Layout
from labelstream.workers.engine.inference.backend import mark_nothing
from labelstream.workers.engine.inference.forward_layout import PaddedBatch, UnpaddedBatch


class TorchBackend:
    """A `labelstream.workers.engine.inference.backend.UnpaddedBackend`.

    `model`: in eval mode, on its device. `read`: runs `model` and returns its outputs. `takes_type_ids`: whether
    transformers' tokenizer makes type ids for this model. `type_vocab_size`: see `Backend`. `packing`: how the model
    runs without padding, or None. `graphs`: holds the recorded forwards; None if the device cannot record.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        read: OutputHead,
        pad_id: int,
        vocab_size: int,
        takes_type_ids: bool,
        type_vocab_size: int | None,
        packing: UnpaddedFamily | None = None,
        graphs: CudaGraphs | None = None,
    ) -> None:
        self._read, self._packing, self._graphs = read, packing, graphs
        self._shapes: ShapeBuckets | None = None  # shapes of the recorded forwards
        self._static = torch.empty(0, dtype=torch.int64)  # the input memory of the recorded forwards
        self._device = next(model.parameters()).device
        self._stage = copier_for(self._device)
        self._takes_type_ids = takes_type_ids
        self._fixed: dict[str, Any] = {"return_dict": True}
        if "use_cache" in inspect.signature(model.forward).parameters:
            self._fixed["use_cache"] = False
        self.device_type: str = self._device.type
        # A 4D mask saves transformers a check that waits for the GPU. A CPU does not wait.
        self._wide_masks = self.device_type == "cuda" and takes_4d_masks(model)
        self._always_masked = hasattr(model.config, "pad_index")  # without a mask XLM makes one from the ids
        self.dtype: torch.dtype = next(model.parameters()).dtype
        self.pad_id = pad_id
        self.vocab_size, self.type_vocab_size = vocab_size, type_vocab_size
        self.packs = packing is not None
        self.mark = _mark_cuda if self.device_type == "cuda" else mark_nothing

    def logits(self, batch: PaddedBatch) -> torch.Tensor:
        """Floating point [n, outputs]; on cuda the device may still be computing the values."""
        # Attention is faster without a mask, which a batch without padding does not need.
        masked = self._always_masked or int(batch.lengths.min()) < batch.ids.shape[1]
        with torch.inference_mode():
            staged = self._stage(_arrays(batch, masked))
            ids = staged["ids"]
            inputs: dict[str, Any] = {"input_ids": ids, **self._fixed}
            if masked:
                mask = torch.arange(ids.shape[1], device=self._device) < staged["lengths"][:, None]
                inputs["attention_mask"] = mask[:, None, None] if self._wide_masks else mask.long()
            if self._takes_type_ids:
                inputs["token_type_ids"] = staged["type_ids"] if "type_ids" in staged else torch.zeros_like(ids)
            return self._read(inputs, staged.get("targets"))

    def packed_logits(self, batch: UnpaddedBatch) -> torch.Tensor:
        """As `logits`, without padding. Only if the backend `packs`."""
        shape = None
        if self._shapes is not None:
            shape = self._shapes.fitting(len(batch.ids), count_blocks(batch.lengths))
        with torch.inference_mode():
            if shape is None or self._graphs is None:
                arrays = self._packed_arrays(batch)
                return self._packed(self._stage({**arrays, **layout_of(batch.lengths)}))
            self._stage(self._filled(batch, shape), self._static)
            return self._graphs.replay(shape, len(batch.lengths))

    def record(self, max_tokens: int) -> int:
        """See `UnpaddedBackend.record`."""
        if self._graphs is None:
            return 0
        shapes, batch = ShapeBuckets(max_tokens), _one_token(self.pad_id)
        with torch.inference_mode():
            largest = size_of(self._filled(batch, shapes.all()[0]))
            self._static = torch.zeros(largest, dtype=torch.int64, device=self._device)
            for shape in shapes.all():
                staged = self._stage(self._filled(batch, shape), self._static)
                self._graphs.record(shape, lambda staged=staged: self._packed(staged))
        self._shapes = shapes
        self.free_memory()  # of the forwards that ran before each recording
        return len(self._graphs)

    def memory(self) -> dict[str, int]:
        """See `Backend.memory`. Thread-safe."""
        if self.device_type != "cuda":
            return {}
        return {
            "used": torch.cuda.memory_allocated(self._device),
            "reserved": torch.cuda.memory_reserved(self._device),
            "total": torch.cuda.mem_get_info(self._device)[1],
        }

    def free_memory(self) -> None:
        """Return the allocator's cached blocks to the device. Recorded forwards keep their memory."""
        if self.device_type == "cuda":
            torch.cuda.synchronize(self._device)
            torch.cuda.empty_cache()

    def _packed_arrays(self, batch: UnpaddedBatch) -> dict[str, NDArray[np.int64]]:
        assert self._packing is not None
        arrays = {
            "ids": batch.ids,
            "positions": positions_of(batch, self._packing.padding_position),
            "rows": batch.starts if batch.targets is None else batch.starts + batch.targets,
        }
        if self._takes_type_ids and batch.type_ids is not None:
            arrays["type_ids"] = batch.type_ids
        return arrays

    def _filled(self, batch: UnpaddedBatch, shape: ShapeBucket) -> dict[str, NDArray[np.int64]]:
        """The arrays of `batch`, filled up to `shape`: the same set each time, as recordings read fixed memory."""
        assert self._packing is not None
        if batch.type_ids is None:
            batch = batch._replace(type_ids=np.zeros_like(batch.ids))
        arrays = {**self._packed_arrays(batch), "lengths": batch.lengths}
        return fill_up(arrays, shape, self.pad_id, self._packing.padding_position or 0)

    def _packed(self, staged: Mapping[str, torch.Tensor]) -> torch.Tensor:
        assert self._packing is not None
        ids, lengths = staged["ids"][None], staged["lengths"]
        laid = {name: staged[name].int() for name in Layout._fields}
        # A sequence that fills a shape up has length 0, by which the kernel would divide.
        laid["lengths"] = laid["lengths"].clamp(min=1)
        inputs: dict[str, Any] = {
            "input_ids": ids,
            "position_ids": staged["positions"][None],
            **self._fixed,
            "layout": Layout(**laid),
        }
        if self._takes_type_ids:
            inputs["token_type_ids"] = staged["type_ids"][None] if "type_ids" in staged else torch.zeros_like(ids)
        return self._packing.read(inputs, staged["rows"], lengths)


def _mark_cuda() -> Callable[[], None]:
    done = torch.cuda.Event(blocking=True)  # blocking: spinning would take a core and the GIL
    done.record()
    return done.synchronize


def _arrays(batch: PaddedBatch, masked: bool) -> dict[str, NDArray[np.int64]]:
    arrays = {"ids": batch.ids}
    if masked:
        arrays["lengths"] = batch.lengths
    if batch.type_ids is not None:
        arrays["type_ids"] = batch.type_ids
    if batch.targets is not None:
        arrays["targets"] = batch.targets
    return arrays


def _one_token(pad_id: int) -> UnpaddedBatch:
    """The smallest batch, which leaves a shape the most spare tokens and sequences."""
    zero, one = np.zeros(1, np.int64), np.ones(1, np.int64)
    return UnpaddedBatch(np.full(1, pad_id), zero, zero, one, None)
