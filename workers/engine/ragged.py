"""Token ids and scores between tokenizer, Serve and model, as flat numpy arrays instead of nested lists. No torch."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.classifier import RecordError
from labelstream.workers.engine.description import Activation


class Scoring(NamedTuple):
    """What a sequence wants in place of the model's own scores.

    `activation`: None means the model's own. `label_ids`: the only labels to report; None means all.
    """

    activation: Activation | None = None
    label_ids: tuple[int, ...] | None = None


class RaggedSequences(NamedTuple):
    """Token ids of n sequences, one after the other, without padding.

    `ids`: int32 [sum(lengths)]. `lengths`: int32 [n], each >= 1. `type_ids`: uint8 [sum(lengths)]; None if all are zero
    (single texts; a pair's second text has ones). `targets`: int32 [n], the position of the token that the model must
    predict (fill-mask); None: position 0. `scorings`: row -> its scoring, for rows that want another than the model's;
    None: no row does.
    """

    ids: NDArray[np.int32]
    lengths: NDArray[np.int32]
    type_ids: NDArray[np.uint8] | None = None
    targets: NDArray[np.int32] | None = None
    scorings: Mapping[int, Scoring] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # Without `scorings` also for replicas of version 0.1.0, which an upgrade has not replaced yet.
        return RaggedSequences, tuple(self) if self.scorings else tuple(self[:4])

    def scorings_of(self, rows: Sequence[int]) -> dict[int, Scoring] | None:
        """The scorings of `rows`, which become the rows 0, 1, .. of another object."""
        if not self.scorings:
            return None
        return {i: self.scorings[row] for i, row in enumerate(rows) if row in self.scorings} or None


class ScoredSequences(NamedTuple):
    """The scores of n sequences: the k best labels of each, in descending order of score, or all scores.

    `label_ids`: int32 [n, k], indices into the model's labels; None if `scores` holds all labels in the order of their
    ids. `scores`: float32 [n, k]. `errors`: row -> why that row has no answer; its scores are NaN.
    """

    label_ids: NDArray[np.int32] | None
    scores: NDArray[np.float32]
    errors: dict[int, RecordError]

    def error_in(self, first: int, last: int) -> RecordError | None:
        """The first error in the rows `first` to `last` (exclusive) of one request; None without any."""
        return next((self.errors[row] for row in range(first, last) if row in self.errors), None)


def concatenate(parts: Sequence[RaggedSequences]) -> RaggedSequences:
    """Join `parts` (at least one), in order."""
    if len(parts) == 1:
        return parts[0]
    type_ids = None
    if any(part.type_ids is not None for part in parts):
        type_ids = np.concatenate([np.zeros(len(p.ids), np.uint8) if p.type_ids is None else p.type_ids for p in parts])
    targets = None
    if any(part.targets is not None for part in parts):
        targets = np.concatenate(
            [np.zeros(len(p.lengths), np.int32) if p.targets is None else p.targets for p in parts]
        )
    ids = np.concatenate([part.ids for part in parts])
    lengths = np.concatenate([part.lengths for part in parts])
    return RaggedSequences(ids, lengths, type_ids, targets, _joined_scorings(parts))


def _joined_scorings(parts: Sequence[RaggedSequences]) -> dict[int, Scoring] | None:
    joined: dict[int, Scoring] = {}
    first = 0
    for part in parts:
        if part.scorings:
            joined.update((first + row, scoring) for row, scoring in part.scorings.items())
        first += len(part.lengths)
    return joined or None


def split(packed: RaggedSequences, max_sequences: int, max_tokens: int) -> list[RaggedSequences]:
    """Split into parts of at most `max_sequences` sequences and `max_tokens` tokens, in order.

    A sequence longer than `max_tokens` is a part of its own.
    """
    ends = np.cumsum(packed.lengths)
    parts: list[RaggedSequences] = []
    first, n = 0, len(packed.lengths)
    while first < n:
        done = int(ends[first - 1]) if first else 0
        last = int(np.searchsorted(ends, done + max_tokens, side="right"))
        last = max(first + 1, min(last, first + max_sequences))
        stop = int(ends[last - 1])
        type_ids = None if packed.type_ids is None else packed.type_ids[done:stop]
        targets = None if packed.targets is None else packed.targets[first:last]
        scorings = packed.scorings_of(range(first, last))
        parts.append(RaggedSequences(packed.ids[done:stop], packed.lengths[first:last], type_ids, targets, scorings))
        first = last
    return parts


def select(packed: RaggedSequences, rows: NDArray[np.intp]) -> RaggedSequences:
    """The sequences of `rows`, which are ascending and at least one."""
    if len(rows) == len(packed.lengths):
        return packed
    ends = np.cumsum(packed.lengths, dtype=np.intp)
    starts = ends - packed.lengths
    if rows[-1] - rows[0] + 1 == len(rows):
        tokens: slice | NDArray[np.intp] = slice(int(starts[rows[0]]), int(ends[rows[-1]]))
    else:
        chosen = zip(starts[rows].tolist(), ends[rows].tolist(), strict=True)
        tokens = np.concatenate([np.arange(start, end) for start, end in chosen])
    return RaggedSequences(
        packed.ids[tokens],
        packed.lengths[rows],
        None if packed.type_ids is None else packed.type_ids[tokens],
        None if packed.targets is None else packed.targets[rows],
        packed.scorings_of(rows.tolist()) if packed.scorings else None,
    )


def split_scores(scored: ScoredSequences, counts: Sequence[int], top_ks: Sequence[int]) -> list[ScoredSequences]:
    """Undo `concatenate`: `counts[i]` rows for part i, with the `top_ks[i]` best labels each, or all if not ranked.

    Raises ValueError if the rows do not add up: shifted rows would be wrong labels.
    """
    label_ids, scores = scored.label_ids, scored.scores
    if sum(counts) != len(scores) or (label_ids is not None and len(label_ids) != len(scores)):
        raise ValueError(f"{len(scores)} answers for {sum(counts)} sequences")
    parts: list[ScoredSequences] = []
    first = 0
    for count, top_k in zip(counts, top_ks, strict=True):
        last = first + count
        errors = {row - first: error for row, error in scored.errors.items() if first <= row < last}
        if label_ids is None:
            parts.append(ScoredSequences(None, scores[first:last], errors))
        else:
            parts.append(ScoredSequences(label_ids[first:last, :top_k], scores[first:last, :top_k], errors))
        first = last
    return parts
