"""Turns logits into scores, ranked or in the order of the ids, on the device of the logits."""

from collections.abc import Mapping
from typing import NamedTuple

import torch

from labelstream.workers.engine.description import Activation
from labelstream.workers.engine.ragged import Scoring

# From so many columns on the best are selected before sorting. Sorting a vocabulary of 30,000 took 28 times as long
# as selecting its best 5, on 2 cores.
_SELECT_FROM = 1_000


class Scored(NamedTuple):
    """`label_ids`: int32 [n, k]; None if `scores` are in the order of the ids. `scores`: float32 [n, k], in descending
    order if ranked. `finite`: bool [n], false for rows with a logit that is not finite.

    All tensors are on the device of the logits.
    """

    label_ids: torch.Tensor | None
    scores: torch.Tensor
    finite: torch.Tensor


def score(
    logits: torch.Tensor,
    activation: Activation,
    top_k: int | None,
    scorings: Mapping[int, Scoring] | None = None,
    temperature: float = 1.0,
) -> Scored:
    """The `top_k` best labels of each row of `logits` [n, labels]; None: all scores in the order of the ids.

    `temperature` divides the logits before softmax and sigmoid; scores that are logits stay as they are.

    `scorings`: row -> its scoring, where that is not `activation` of all labels. Labels that such a row does not want
    have the score -inf.

    Of equal scores the lower id comes first. From `_SELECT_FROM` labels on torch chooses among labels with equal scores
    at the cut.
    """
    with torch.inference_mode():
        logits = logits.float()
        finite = torch.isfinite(logits).all(dim=-1)
        scores = _activated(logits, activation, temperature)
        if scorings:
            scores = _scored_apart(logits, scores, scorings, temperature)
        if top_k is None:
            return Scored(None, scores, finite)
        best, label_ids = _ranked(scores, top_k)
        return Scored(label_ids.int(), best, finite)


def _activated(logits: torch.Tensor, activation: Activation, temperature: float) -> torch.Tensor:
    if activation is Activation.NONE:
        return logits
    if temperature != 1.0:
        logits = logits / temperature
    return torch.softmax(logits, dim=-1) if activation is Activation.SOFTMAX else torch.sigmoid(logits)


def _scored_apart(
    logits: torch.Tensor, scores: torch.Tensor, scorings: Mapping[int, Scoring], temperature: float
) -> torch.Tensor:
    """A copy of `scores` with the rows of `scorings` scored as these say."""
    scores = scores.clone()
    for activation in Activation:
        rows = [row for row, scoring in scorings.items() if scoring.activation is activation]
        if rows:
            scores[rows] = _activated(logits[rows], activation, temperature)
    for row, scoring in scorings.items():
        if scoring.label_ids is not None:
            wanted = scores[row, list(scoring.label_ids)]
            scores[row] = -torch.inf
            scores[row, list(scoring.label_ids)] = wanted
    return scores


def _ranked(scores: torch.Tensor, top_k: int) -> tuple[torch.Tensor, torch.Tensor]:
    width = scores.shape[-1]
    if width < _SELECT_FROM or 4 * top_k > width:
        best, ids = torch.sort(scores, descending=True, stable=True)
        return best[:, :top_k], ids[:, :top_k]
    _, ids = torch.topk(scores, top_k)
    ids, _ = torch.sort(ids)  # with the stable sort below the lower of two ids with equal scores comes first
    best, order = torch.sort(scores.gather(-1, ids), descending=True, stable=True)
    return best, ids.gather(-1, order)
