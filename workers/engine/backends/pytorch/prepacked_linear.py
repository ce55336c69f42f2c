"""Linear layers in bfloat16 on a CPU, whose weights are laid out for the matrix unit once instead of in every call."""

import logging

import torch
from torch import nn

logger = logging.getLogger(__name__)

_CHECK_ROWS = 3
_TOLERANCE = 0.02  # a few steps of bfloat16, relative to the layer's largest output


class PrepackedLinear(nn.Module):
    """An `nn.Linear` with prepacked weights, for inference only. The matrix product also adds the bias."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        with torch.inference_mode():
            self.weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)
        self.bias = linear.bias

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """[..., in_features] -> [..., out_features]"""
        return torch.ops.mkldnn._linear_pointwise(hidden, self.weight, self.bias, "none", [], "")


def pack_linears(model: nn.Module) -> int:
    """Replace each `nn.Linear` in `model` whose prepacked form gives the same values. Returns their number.

    The operator is a private one of torch's compiler. If it is missing or gives other values, the layer stays.
    """
    packed = 0
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is not nn.Linear or child.weight.dtype is not torch.bfloat16:
                continue
            try:
                replacement = PrepackedLinear(child)
                same = _same(child, replacement)
            except (AttributeError, RuntimeError, NotImplementedError) as error:
                logger.info("prepacked linear layers are not available: %s", type(error).__name__)
                return packed
            if same:
                setattr(parent, name, replacement)
                packed += 1
    return packed


def _same(linear: nn.Linear, packed: PrepackedLinear) -> bool:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(_CHECK_ROWS, linear.in_features, generator=generator).to(linear.weight.dtype)
    with torch.inference_mode():
        expected, got = linear(hidden).float(), packed(hidden).float()
    return bool((expected - got).abs().max() <= _TOLERANCE * expected.abs().max().clamp(min=1e-6))
