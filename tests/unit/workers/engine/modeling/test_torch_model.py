"""The optimizations of a model depend on its device and its dtype."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers

from labelstream.workers.engine.backends.pytorch.fused_gelu import LinearGelu
from labelstream.workers.engine.modeling.torch_model import prepare

Folders = Callable[[str], Path]


@pytest.mark.parametrize(
    ("device", "dtype", "fused", "cudnn"),
    [("cuda", torch.bfloat16, 2, False), ("cuda", torch.float32, 0, False), ("cpu", torch.float32, 0, True)],
)
def test_gpu_in_half_precision_fuses_gelu_without_cudnn_sdp(
    model_folder: Folders, device: str, dtype: torch.dtype, fused: int, cudnn: bool
) -> None:
    model = transformers.AutoModelForSequenceClassification.from_pretrained(model_folder("bert"), dtype=dtype)
    before = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(True)
    try:
        prepare(model, torch.device(device))
        assert torch.backends.cuda.cudnn_sdp_enabled() is cudnn
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)
    assert sum(isinstance(module, LinearGelu) for module in model.modules()) == fused
