"""Chooses the models that run without padding, and prepares them for it."""

import logging
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from labelstream.workers.engine.backends.pytorch import varlen_attention
from labelstream.workers.engine.backends.pytorch.heads import OutputHead, UnpaddedHead
from labelstream.workers.engine.backends.pytorch.last_layer import ENCODERS
from labelstream.workers.engine.description import TaskName
from labelstream.workers.engine.inference.forward_layout import UnpaddedBatch
from labelstream.workers.engine.options import ModelOptions

logger = logging.getLogger(__name__)

# transformers' model types whose attention uses AttentionInterface without a bias, with the module that returns the
# last hidden states. DeBERTa and MPNet add a bias by distance, which the fused kernel cannot take.
_ENCODERS = {**ENCODERS, "albert": "encoder"}


class UnpaddedFamily(NamedTuple):
    """How a model runs on sequences without padding.

    `padding_position`: the padding token's id in RoBERTa and related models; None: positions count from 0. In these
    models a padding token, even within a text, has this position, and other tokens count from the next one on.
    """

    read: UnpaddedHead
    padding_position: int | None


def unpadded_on(device: torch.device) -> bool:
    """Whether models can run without padding on `device`: CPUs have no attention kernel for it."""
    return device.type == "cuda"


def takes_4d_masks(model: Any) -> bool:
    """Whether attention takes a bool mask [n, 1, 1, L] unchanged. transformers inspects a 2D mask and waits for the
    device to do so, in every forward."""
    return model.config.model_type in _ENCODERS and model.config._attn_implementation in ("sdpa", varlen_attention.NAME)


def packing_for(source: str, model: Any, read: OutputHead, options: ModelOptions) -> UnpaddedFamily | None:
    """Enable `model`, which is on its device, to run without padding as well as with padding.

    None if its model type or its attention does not allow that; the log names the reason.
    """
    packing = _pack(model, read, options)
    if isinstance(packing, str):
        logger.info("%s: batches are padded: %s", source, packing)
        return None
    return packing


def _pack(model: Any, read: OutputHead, options: ModelOptions) -> UnpaddedFamily | str:
    kind = model.config.model_type
    if kind not in _ENCODERS:
        return f"model type {kind} is not known to work without padding"
    if model.config._attn_implementation != "sdpa":
        return f"the model's attention {model.config._attn_implementation} needs padding"
    model.set_attn_implementation(varlen_attention.NAME)
    if model.config._attn_implementation != varlen_attention.NAME:
        return "transformers cannot replace this model's attention"
    body = model.base_model
    embeds = options.task is TaskName.EMBEDDING
    last = body if embeds else getattr(body, _ENCODERS[kind])
    mean = embeds and options.pooling != "cls"
    table = body.embeddings.position_embeddings
    return UnpaddedFamily(UnpaddedHead(read, last, mean), table.padding_idx)


def positions_of(batch: UnpaddedBatch, padding_position: int | None) -> NDArray[np.int64]:
    """Position ids, int64 [T], as the model counts them; see `UnpaddedFamily`, and `create_position_ids_from_input_ids`
    of transformers' RoBERTa."""
    if padding_position is None:
        return batch.positions
    counts = batch.ids != padding_position  # which is also the padding token's id
    if counts.all():
        return batch.positions + (padding_position + 1)
    counted = np.cumsum(counts)
    before = np.repeat(counted[batch.starts] - counts[batch.starts], batch.lengths)
    return np.where(counts, counted - before, 0) + padding_position
