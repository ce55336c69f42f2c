"""Which models run without padding, and what they differ in."""

import logging
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from labelstream.workers.engine.backends.pytorch import varlen_attention
from labelstream.workers.engine.backends.pytorch.heads import OutputHead, UnpaddedHead
from labelstream.workers.engine.backends.pytorch.last_layer import ENCODERS
from labelstream.workers.engine.description import TaskName
from labelstream.workers.engine.inference.batch_plan import UnpaddedBatch
from labelstream.workers.engine.options import ModelOptions

logger = logging.getLogger(__name__)

# transformers' model types whose attention goes through its interface and knows no distances between tokens, with the
# module that gives the last hidden states. DeBERTa and MPNet add a bias by distance, which the fused kernel lacks.
_ENCODERS = {**ENCODERS, "albert": "encoder"}


class UnpaddedFamily(NamedTuple):
    """How a model runs on sequences without padding.

    `padding_position`: where RoBERTa and its kin count from. It is the padding token's id as well: such a token has
    this position, and does not count, even where it is part of a text; the first other one has the next position.
    None: positions count from 0.
    """

    read: UnpaddedHead
    padding_position: int | None


def unpadded_on(device: torch.device) -> bool:
    """Whether models run without padding on `device`, where their family can: a CPU has no such kernel."""
    return device.type == "cuda"


def takes_4d_masks(model: Any) -> bool:
    """Whether attention takes a bool mask of [n, 1, 1, L] as it is: transformers then does not look into it, for which
    it would wait for the device in every forward."""
    return model.config.model_type in _ENCODERS and model.config._attn_implementation in ("sdpa", varlen_attention.NAME)


def packing_for(source: str, model: Any, read: OutputHead, options: ModelOptions) -> UnpaddedFamily | None:
    """Make `model`, which is on its device, able to run without padding, beside running with it.

    None where its family cannot, or its attention is not torch's: the log says why.
    """
    packing = _pack(model, read, options)
    if isinstance(packing, str):
        logger.info("%s: batches are padded: %s", source, packing)
        return None
    return packing


def _pack(model: Any, read: OutputHead, options: ModelOptions) -> UnpaddedFamily | str:
    kind = model.config.model_type
    if kind not in _ENCODERS:
        return f"attention of models of type {kind} depends on the distance between tokens, or is not known here"
    if model.config._attn_implementation != "sdpa":
        return f"the model asks for the attention {model.config._attn_implementation}, which needs padding"
    model.set_attn_implementation(varlen_attention.NAME)
    if model.config._attn_implementation != varlen_attention.NAME:
        return "transformers does not let this model's attention be replaced"
    body = model.base_model
    embeds = options.task is TaskName.EMBEDDING
    last = body if embeds else getattr(body, _ENCODERS[kind])
    mean = embeds and options.pooling != "cls"
    table = body.embeddings.position_embeddings
    return UnpaddedFamily(UnpaddedHead(read, last, mean), table.padding_idx)


def positions_of(batch: UnpaddedBatch, padding_position: int | None) -> NDArray[np.int64]:
    """int64 [T], as the model itself would count them; see `UnpaddedFamily`, and
    `create_position_ids_from_input_ids` of transformers' RoBERTa."""
    if padding_position is None:
        return batch.positions
    counts = batch.ids != padding_position  # the token's id, too
    if counts.all():
        return batch.positions + (padding_position + 1)
    counted = np.cumsum(counts)
    before = np.repeat(counted[batch.starts] - counts[batch.starts], batch.lengths)
    return np.where(counts, counted - before, 0) + padding_position
