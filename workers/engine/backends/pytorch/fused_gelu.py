"""Fuses GELU with the matrix product before it, on a GPU in half precision.

cuBLASLt computes the activation while the product's result is still in registers. A separate GELU reads and writes
3,072 values per token in each layer of BERT-base. For 16,384 tokens an H200 took 182 us for product and GELU
separately, and 129 us for the fused kernel.

The kernel computes the tanh approximation of "Gaussian Error Linear Units" (Hendrycks and Gimpel 2016, section 2). The
exact form differs by at most 0.0005, less than the rounding of half precision.
"""

import logging

import torch
from torch import nn
from transformers.activations import GELUActivation, NewGELUActivation

logger = logging.getLogger(__name__)

# Attributes of transformers' layers, (linear layer, activation): of DistilBERT; of BERT and related models; of ALBERT.
_PAIRS = (("lin1", "activation"), ("dense", "intermediate_act_fn"), ("ffn", "activation"))
_TOLERANCE = 0.02  # as a share of the largest value
_CHECK_ROWS = 5


class LinearGelu(nn.Module):
    """`linear` followed by GELU, fused: [.., inputs] -> [.., outputs]."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """See the class."""
        flat = hidden.reshape(-1, hidden.shape[-1])
        inside = torch.ops.aten._addmm_activation(self.bias, flat, self.weight.t(), use_gelu=True)
        return inside.view(*hidden.shape[:-1], -1)


def fuse_gelu(model: nn.Module) -> int:
    """Fuse GELU with the linear layer before it wherever the result is the same. Returns the number of fused pairs."""
    found = 0
    known = [module for module in model.modules() if type(module).__module__.startswith("transformers.models.")]
    for module in known:  # other classes may use the attributes of `_PAIRS` for other things
        for linear, activation in _PAIRS:
            if _fits(getattr(module, linear, None), getattr(module, activation, None)):
                setattr(module, linear, LinearGelu(getattr(module, linear)))
                setattr(module, activation, nn.Identity())
                found += 1
    return found


def _fits(linear: object, activation: object) -> bool:
    if not (isinstance(linear, nn.Linear) and isinstance(activation, GELUActivation | NewGELUActivation)):
        return False
    if linear.bias is None:
        return False
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(_CHECK_ROWS, linear.in_features, generator=generator).to(linear.weight)
    with torch.inference_mode():
        expected, inside = activation(linear(hidden)), LinearGelu(linear)(hidden)
    same = bool((expected - inside).abs().max() <= _TOLERANCE * expected.abs().max())
    if not same:
        logger.warning("fused GELU gives different values on this device; GELU is computed separately")
    return same
