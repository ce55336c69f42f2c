"""Restricts an encoder's last layer to the tokens that the head reads.

A classifier's head reads the vector of one token. The last layer needs the keys and values of all tokens, but queries
and everything after attention only of that token. For the other tokens this saves 10 of the layer's 12 matrix products
(in units of hidden size squared per token). The output does not change.
"""

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from labelstream.workers.engine.backends.pytorch import varlen_attention
from labelstream.workers.engine.error_text import one_line

logger = logging.getLogger(__name__)

# transformers' model types, and the module that holds their layers. Not ALBERT, whose layers share one module, nor
# DeBERTa and MPNet, whose attention differs.
ENCODERS = {
    "distilbert": "transformer",
    "bert": "encoder",
    "roberta": "encoder",
    "xlm-roberta": "encoder",
    "camembert": "encoder",
    "electra": "encoder",
}
_TOLERANCE, _TOLERANCE_OF_HALF = 1e-4, 0.05  # as a share of the largest value
_CHECK_SHAPE = 3, 5


class LastLayer(nn.Module):
    """Replaces `layer`: [n, L, hidden] -> [n, 1, hidden] of the tokens `read_at`, int64 [n]; None: the first tokens.

    Without padding, with a `layout`: [1, T, hidden] -> [1, n, hidden]. `read_at` are then places in the row of T.
    """

    def __init__(self, layer: nn.Module, parts: "Callable[[Any], Parts]") -> None:
        super().__init__()
        self.layer, self._parts = layer, parts

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        *more: Any,
        read_at: torch.Tensor | None = None,
        layout: varlen_attention.Layout | None = None,
        **named: Any,
    ) -> torch.Tensor:
        """See the class. Ignores `more` and `named`: arguments of decoders, and those that layers pass on."""
        del more, named
        parts = self._parts(self.layer)
        taken = one_of_each(hidden_states, read_at) if layout is None else hidden_states[:, read_at]
        query, key, value = (
            project(of).unflatten(-1, (-1, parts.attention.attention_head_size)).transpose(1, 2)
            for project, of in ((parts.query, taken), (parts.key, hidden_states), (parts.value, hidden_states))
        )
        if layout is None:
            mask = None if attention_mask is None else attention_mask[:, :, :1]  # a padding mask: equal for all queries
            attended, _ = sdpa_attention_forward(
                parts.attention, query, key, value, mask, scaling=parts.attention.scaling
            )
        else:
            attended = varlen_attention.attend_once(query, key, value, layout, parts.attention.scaling)
        return parts.rest(attended.flatten(2), taken)


class Parts:
    """The parts of a layer. `rest`: (attention output, layer input) -> layer output, for each token."""

    def __init__(self, attention: Any, names: tuple[str, str, str], rest: Callable[..., torch.Tensor]) -> None:
        self.attention, self.rest = attention, rest
        self.query, self.key, self.value = (getattr(attention, name) for name in names)


def prune_last_layer(model: Any) -> bool:
    """Replace the last layer of `model` by a `LastLayer`. The model's last hidden states are then [n, 1, hidden].

    Returns False, without a change, if the model type is not in ENCODERS or the new layer gives other values.
    """
    config = model.config
    if config.model_type not in ENCODERS or config._attn_implementation != "sdpa":
        return False
    layers = getattr(model.base_model, ENCODERS[config.model_type]).layer
    if getattr(config, "is_decoder", False) or not len(layers):
        return False
    last = LastLayer(layers[-1], _of_distilbert if config.model_type == "distilbert" else _of_bert)
    try:
        problem = None if _same(layers[-1], last, model) else "the values differ"
    except Exception as error:
        problem = one_line(error)
    if problem is not None:
        logger.warning(
            "the last layer of this %s cannot be restricted to the tokens that are read, and runs for all tokens: %s",
            config.model_type,
            problem,
        )
        return False
    layers[-1] = last
    return True


def _of_distilbert(layer: Any) -> Parts:
    def rest(attended: torch.Tensor, taken: torch.Tensor) -> torch.Tensor:
        mixed = layer.sa_layer_norm(layer.attention.out_lin(attended) + taken)
        return layer.output_layer_norm(layer.ffn(mixed) + mixed)

    return Parts(layer.attention, ("q_lin", "k_lin", "v_lin"), rest)


def _of_bert(layer: Any) -> Parts:
    def rest(attended: torch.Tensor, taken: torch.Tensor) -> torch.Tensor:
        return layer.feed_forward_chunk(layer.attention.output(attended, taken))

    return Parts(layer.attention.self, ("query", "key", "value"), rest)


def one_of_each(hidden: torch.Tensor, read_at: torch.Tensor | None) -> torch.Tensor:
    """[n, L, hidden] -> [n, 1, hidden] of the tokens `read_at`, int64 [n]; None: the first tokens."""
    if read_at is None:
        return hidden[:, :1]
    return hidden[torch.arange(hidden.shape[0], device=hidden.device), read_at][:, None]


def _same(layer: nn.Module, last: LastLayer, model: Any) -> bool:
    """Whether both layers agree on random hidden states, with padding and without a mask, at several positions."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(*_CHECK_SHAPE, model.config.hidden_size, generator=generator).to(model.device, model.dtype)
    rows, width = _CHECK_SHAPE
    mask = (torch.arange(width) < torch.tensor([width, width - 1, width - 2])[:, None]).to(model.device)[:, None, None]
    read_at = torch.tensor([width - 1, 0, 1], device=model.device)
    with torch.inference_mode():
        whole = torch.cat(
            [layer(hidden, given)[torch.arange(rows), read_at] for given in (None, mask.expand(-1, 1, width, -1))]
        )
        found = torch.cat([last(hidden, given, read_at=read_at)[:, 0] for given in (None, mask)])
    tolerance = _TOLERANCE if model.dtype is torch.float32 else _TOLERANCE_OF_HALF
    return bool((whole - found).abs().max() <= tolerance * whole.abs().max())
