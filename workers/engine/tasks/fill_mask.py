"""Filling masks: one sequence per mask of a text, each asked for its own. No torch.

As `transformers.FillMaskPipeline` answers, where that one, too, looks at each mask by itself; but a text that is longer
than the model takes is cut here. Several masks in one text are rare: their common sequence is run once for each.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from workers.classifier import Answer, Fault, Fill, MaskFill, RecordError, Request
from workers.engine.description import Mask, ModelDescription
from workers.engine.packed import PackedSequences, ScoredSequences, concatenate, split
from workers.engine.tasks.prepared import (
    Prepared,
    Unanswerable,
    encode_answerable,
    refusals,
    refused_beside_text,
    refused_top_k,
    top_ks_of,
)
from workers.engine.tokenizer import TextTokenizer
from workers.errors import ModelError


class FillMask:
    """Satisfies `Task`."""

    def __init__(self, description: ModelDescription) -> None:
        if description.mask is None:
            raise ModelError(f"{description.source}: no mask token")
        self._description, self._mask = description, description.mask
        self._tokenizer = TextTokenizer(description)

    def prepare(self, requests: Sequence[Request]) -> Prepared:
        """See `Task.prepare`."""
        rejected = refusals(requests, self._refusal)
        accepted, packed, (counts, truncated) = encode_answerable(requests, rejected, self._encode)
        top_ks = top_ks_of(accepted, self._description)
        read = partial(self._read, packed.lengths, counts, truncated, top_ks)
        return Prepared(packed, max(top_ks, default=1), read, rejected)

    def _refusal(self, request: Request) -> RecordError | None:
        return refused_beside_text(request, self._description.task) or refused_top_k(request)

    def _encode(self, requests: Sequence[Request]) -> tuple[PackedSequences, tuple[list[int], list[bool]]]:
        packed, truncated = self._tokenizer.encode(requests)
        rows, targets = _places(packed, self._mask.id)
        counts = np.bincount(rows, minlength=len(requests))
        if not counts.all():
            raise _without(self._mask, truncated[int(counts.argmin())])
        if len(rows) > len(requests):
            ones = split(packed, 1, 1)
            packed = concatenate([ones[row] for row in rows])
        return packed._replace(targets=targets), (counts.tolist(), truncated)

    def _read(
        self, lengths: NDArray[np.int32], counts: list[int], truncated: list[bool], top_ks: list[int],
        scored: ScoredSequences,
    ) -> list[Answer]:
        if scored.label_ids is None or not sum(counts) == len(scored.label_ids) == len(scored.scores):
            raise ValueError(f"{len(scored.scores)} answers for {sum(counts)} masks, or not the best ones")
        ids, scores = scored.label_ids.tolist(), scored.scores.tolist()
        answers: list[Answer] = []
        first = 0
        for count, cut, top_k in zip(counts, truncated, top_ks, strict=True):
            last = first + count
            masks = tuple(tuple(map(self._fill, ids[row][:top_k], scores[row][:top_k])) for row in range(first, last))
            filled = MaskFill(masks, int(lengths[first:last].sum()), cut, self._description.revision)
            answers.append(scored.error_in(first, last) or filled)
            first = last
        return answers

    def _fill(self, token_id: int, score: float) -> Fill:
        return Fill(self._description.labels[token_id], token_id, score)


def _places(packed: PackedSequences, token_id: int) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """The row and the position in it of each `token_id`, in order."""
    ends = np.cumsum(packed.lengths)
    found = np.flatnonzero(packed.ids == token_id)
    rows = np.searchsorted(ends, found, side="right")
    return rows, (found - (ends - packed.lengths)[rows]).astype(np.int32)


def _without(mask: Mask, truncated: bool) -> Unanswerable:
    where = " in the part of it that the model reads" if truncated else ""
    return Unanswerable(Fault.INVALID_MESSAGE, f"the text has no {mask.token}{where}")
