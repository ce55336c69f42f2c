"""Makes a torch backend of a loaded model, and speeds the model up on its device."""

from typing import Any

import torch

from labelstream.workers.engine.backends.pytorch.backend import TorchBackend
from labelstream.workers.engine.backends.pytorch.cuda_graphs import CudaGraphs, recorder_for
from labelstream.workers.engine.backends.pytorch.fused_gelu import fuse_gelu
from labelstream.workers.engine.backends.pytorch.heads import head_for
from labelstream.workers.engine.backends.pytorch.prepacked_linear import pack_linears
from labelstream.workers.engine.backends.pytorch.unpadded import packing_for, unpadded_on
from labelstream.workers.engine.options import ModelOptions


def torch_backend(source: str, model: Any, options: ModelOptions, inputs: dict[str, Any]) -> TorchBackend:
    """The backend of `model`, a transformers model on its device."""
    device: torch.device = model.device
    prepare(model, device)
    read = head_for(model, options.task, options.pooling)
    packing = packing_for(source, model, read, options) if unpadded_on(device) else None
    recorder = recorder_for(device)
    graphs = None if packing is None or recorder is None else CudaGraphs(recorder)
    return TorchBackend(model, read, **inputs, packing=packing, graphs=graphs)


def prepare(model: torch.nn.Module, device: torch.device) -> None:
    """Speed `model` up on `device` without changing its answers."""
    dtype = next(model.parameters()).dtype
    if device.type == "cuda":
        # torch from 2.11 on prefers cuDNN's attention on Hopper, which plans for 40 to 70 ms (H200) at each new batch
        # shape. The kernel that torch uses instead needs no plan, and a third to all of cuDNN's time.
        torch.backends.cuda.enable_cudnn_sdp(False)
        if dtype is not torch.float32:
            fuse_gelu(model)
    elif dtype is torch.bfloat16:
        pack_linears(model)
