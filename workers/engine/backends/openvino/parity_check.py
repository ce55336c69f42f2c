"""Compares a converted model with its torch model, in other shapes than those it was traced in."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from labelstream.workers.engine.backends.openvino.backend import OpenVINOBackend, arrays
from labelstream.workers.engine.inference.forward_layout import PaddedBatch
from labelstream.workers.engine.inference.self_check import LONGEST

if TYPE_CHECKING:  # see conversion.py
    from labelstream.workers.engine.backends.pytorch.heads import OutputHead

_PAIR_TYPES = 2  # type ids of a pair, for a model without a table of type ids
_TOLERANCE = 5e-5  # as a share of the largest logit, or of 1 if that is smaller; both compute in float32


def difference(backend: OpenVINOBackend, read: "OutputHead", names: Sequence[str], max_length: int) -> str | None:
    """How the logits of the two models differ, or None if they agree.

    Compares one text of two tokens, a padded batch, and a batch of the greatest length, up to `LONGEST`. The batches
    have random type ids.
    """
    for n, width in ((1, min(2, max_length)), (4, min(33, max_length)), (3, min(LONGEST, max_length))):
        batch = _batch(n, width, backend)
        named = {name: torch.from_numpy(values) for name, values in arrays(batch).items() if name in names}
        targets = named.pop("targets", None)
        with torch.inference_mode():
            expected = read({**named, "return_dict": True}, targets).float()
        found = backend.logits(batch)
        if found.shape != expected.shape:
            return f"its logits have the shape {tuple(found.shape)} instead of {tuple(expected.shape)}"
        largest = expected.abs().max().clamp(min=1).item()
        worst = (found - expected).abs().max().item()
        if not worst <= _TOLERANCE * largest:  # also true for NaN
            return f"its logits for {n} texts of {width} tokens differ by {worst:.1e} of {largest:.1e}"
    return None


def _batch(n: int, width: int, backend: OpenVINOBackend) -> PaddedBatch:
    rng = np.random.default_rng(n * width)
    lengths = np.full(n, width, np.int64)
    lengths[1:] -= np.arange(n - 1) * (width // n)  # the first two have the full width
    inside = np.arange(width) < lengths[:, None]
    ids = np.where(inside, rng.integers(0, backend.vocab_size, (n, width)), backend.pad_id)
    type_ids = None
    if n > 1:
        type_ids = np.where(inside, rng.integers(0, backend.type_vocab_size or _PAIR_TYPES, (n, width)), 0)
    return PaddedBatch(ids, lengths, type_ids, lengths - 1)
