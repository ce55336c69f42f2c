"""An encoder's last layer for the tokens that are read alone.

A classifier's head reads one token's vector. In the last layer the others are needed for their keys and values; their
queries, and all that comes after attention, 10 of the layer's 12 products of a token with the hidden size squared, are
computed for nothing. What is read is the same.
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

# transformers' model types, and the module with their layers. ALBERT's layers are one and the same, and attention is
# another in DeBERTa and MPNet.
ENCODERS = {
    "distilbert": "transformer",
    "bert": "encoder",
    "roberta": "encoder",
    "xlm-roberta": "encoder",
    "camembert": "encoder",
    "electra": "encoder",
}
_TOLERANCE, _TOLERANCE_OF_HALF = 1e-4, 0.05  # of the largest value
_CHECK_SHAPE = 3, 5


class LastLayer(nn.Module):
    """Takes the place of `layer`: [n, L, hidden] -> [n, 1, hidden] of the tokens `asked`, int64 [n]; None: the first.

    Without padding, where `layout` says where sequences lie: [1, T, hidden] -> [1, n, hidden]. `asked` are places in
    the row then.
    """

    def __init__(self, layer: nn.Module, parts: "Callable[[Any], Parts]") -> None:
        super().__init__()
        self.layer, self._parts = layer, parts

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        *more: Any,
        asked: torch.Tensor | None = None,
        layout: varlen_attention.Layout | None = None,
        **named: Any,
    ) -> torch.Tensor:
        """See the class. `more`, `named`: a decoder's, and what layers hand on."""
        del more, named
        parts = self._parts(self.layer)
        taken = one_of_each(hidden_states, asked) if layout is None else hidden_states[:, asked]
        query, key, value = (
            project(of).unflatten(-1, (-1, parts.attention.attention_head_size)).transpose(1, 2)
            for project, of in ((parts.query, taken), (parts.key, hidden_states), (parts.value, hidden_states))
        )
        if layout is None:
            mask = None if attention_mask is None else attention_mask[:, :, :1]  # of padding: the same for all queries
            attended, _ = sdpa_attention_forward(
                parts.attention, query, key, value, mask, scaling=parts.attention.scaling
            )
        else:
            attended = varlen_attention.attend_once(query, key, value, layout, parts.attention.scaling)
        return parts.rest(attended.flatten(2), taken)


class Parts:
    """What a layer consists of. `rest`: (attended, what went in) -> what comes out, token by token."""

    def __init__(self, attention: Any, names: tuple[str, str, str], rest: Callable[..., torch.Tensor]) -> None:
        self.attention, self.rest = attention, rest
        self.query, self.key, self.value = (getattr(attention, name) for name in names)


def prune_last_layer(model: Any) -> bool:
    """Have `model` compute its last layer for the tokens that are read alone; its last hidden states are these then.

    False, and nothing is changed, where its family is none of those, or its own layer is another one than is known.
    """
    config = model.config
    if config.model_type not in ENCODERS or config._attn_implementation != "sdpa":
        return False
    layers = getattr(model.base_model, ENCODERS[config.model_type]).layer
    if getattr(config, "is_decoder", False) or not len(layers):
        return False
    last = LastLayer(layers[-1], _of_distilbert if config.model_type == "distilbert" else _of_bert)
    try:
        problem = None if _same(layers[-1], last, model) else "it gives something else"
    except Exception as error:
        problem = one_line(error)
    if problem is not None:
        logger.warning(
            "the last layer of this %s is not the one that is known, and runs for all tokens: %s",
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


def one_of_each(hidden: torch.Tensor, asked: torch.Tensor | None) -> torch.Tensor:
    """[n, L, hidden] -> [n, 1, hidden] of the tokens `asked`, int64 [n]; None: the first."""
    if asked is None:
        return hidden[:, :1]
    return hidden[torch.arange(hidden.shape[0], device=hidden.device), asked][:, None]


def _same(layer: nn.Module, last: LastLayer, model: Any) -> bool:
    """On made-up hidden states, with padding and without a mask, and for other tokens than the first."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(*_CHECK_SHAPE, model.config.hidden_size, generator=generator).to(model.device, model.dtype)
    rows, width = _CHECK_SHAPE
    mask = (torch.arange(width) < torch.tensor([width, width - 1, width - 2])[:, None]).to(model.device)[:, None, None]
    asked = torch.tensor([width - 1, 0, 1], device=model.device)
    with torch.inference_mode():
        whole = torch.cat(
            [layer(hidden, given)[torch.arange(rows), asked] for given in (None, mask.expand(-1, 1, width, -1))]
        )
        found = torch.cat([last(hidden, given, asked=asked)[:, 0] for given in (None, mask)])
    tolerance = _TOLERANCE if model.dtype is torch.float32 else _TOLERANCE_OF_HALF
    return bool((whole - found).abs().max() <= tolerance * whole.abs().max())
