"""Logits -> the best labels and their scores, on the device that made the logits."""

from typing import NamedTuple

import torch

from workers.engine.description import Activation


class Scored(NamedTuple):
    """`label_ids`: int32 [n, k]. `scores`: float32 [n, k], descending. `finite`: bool [n], false where logits are not.

    All on the logits' device.
    """

    label_ids: torch.Tensor
    scores: torch.Tensor
    finite: torch.Tensor


def score(logits: torch.Tensor, activation: Activation, top_k: int) -> Scored:
    """The `top_k` best labels of each row of `logits` [n, labels]; of equal scores the lower id comes first."""
    with torch.inference_mode():
        logits = logits.float()
        finite = torch.isfinite(logits).all(dim=-1)
        if activation is Activation.SOFTMAX:
            scores = torch.softmax(logits, dim=-1)
        elif activation is Activation.SIGMOID:
            scores = torch.sigmoid(logits)
        else:
            scores = logits
        best, label_ids = torch.sort(scores, dim=-1, descending=True, stable=True)
        return Scored(label_ids[:, :top_k].int(), best[:, :top_k], finite)
