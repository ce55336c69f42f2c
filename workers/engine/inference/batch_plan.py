"""Which sequences go through the model together. Pure numpy, no torch."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.engine.ragged import RaggedSequences

Arrays = Mapping[str, NDArray[np.int64]]  # of a batch, by name


class PaddedBatch(NamedTuple):
    """n sequences, padded on the right to the longest of them.

    `ids`: int64 [n, L]. `lengths`: int64 [n]. `type_ids`: int64 [n, L], or None where all are zero. `targets`: int64
    [n], see `RaggedSequences`.
    """

    ids: NDArray[np.int64]
    lengths: NDArray[np.int64]
    type_ids: NDArray[np.int64] | None
    targets: NDArray[np.int64] | None = None


class UnpaddedBatch(NamedTuple):
    """n sequences one behind the other, T tokens in all, without padding.

    `ids`, `positions`: int64 [T], a token and its place in its own sequence. `starts`, `lengths`: int64 [n].
    `type_ids`: int64 [T], or None where all are zero. `targets`: int64 [n] within each sequence, see `RaggedSequences`.
    """

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    type_ids: NDArray[np.int64] | None
    targets: NDArray[np.int64] | None = None


def plan(
    lengths: NDArray[np.integer], max_batch_tokens: int, overhead_tokens: int, step: int = 1
) -> list[NDArray[np.intp]]:
    """Cut n sequences, none of them empty, into batches of similar length: arrays of row numbers, together 0..n-1 once.

    A batch costs its longest sequence times its count, padding included, and stays within `max_batch_tokens`; a
    sequence longer than that is a batch of its own. Longest first, so that freed blocks fit all that follows; and what
    remains for the last, smaller batch is the shortest. Equal lengths keep their order.

    `overhead_tokens`: what one more forward costs by itself. The cuts are those that cost least, padding and overhead
    together. `step`: lengths that differ by less are not told apart there, which bounds the time that it takes.
    """
    lengths = np.asarray(lengths, np.int64)
    order = np.argsort(-lengths, kind="stable")
    longest_first = lengths[order]
    batches = []
    for first, last in _cheapest_cuts(longest_first, max_batch_tokens, overhead_tokens, step):
        count = _fitting(int(longest_first[first]), max_batch_tokens)
        batches += [order[at : min(at + count, last)] for at in range(first, last, count)]
    return batches


def _fitting(longest: int, max_batch_tokens: int) -> int:
    """How many sequences, none longer than `longest`, a batch takes."""
    return max(1, max_batch_tokens // longest)


def _cheapest_cuts(
    longest_first: NDArray[np.int64], max_batch_tokens: int, overhead_tokens: int, step: int
) -> list[tuple[int, int]]:
    """Stretches of sequences, each padded as its first one; within one the budget alone cuts.

    Dynamic programming from the shortest to the longest, over the places where the length changes: there are at most as
    many as the model has positions, however many sequences there are.
    """
    groups = -(-longest_first // step)
    places = np.flatnonzero(np.diff(groups, prepend=-1, append=-1))
    cost, until = np.zeros(len(places), np.int64), np.zeros(len(places), np.intp)
    for i in range(len(places) - 2, -1, -1):
        longest, counts = int(longest_first[places[i]]), places[i + 1 :] - places[i]
        forwards = -(-counts // _fitting(longest, max_batch_tokens))
        costs = longest * counts + overhead_tokens * forwards + cost[i + 1 :]
        best = int(costs.argmin())
        cost[i], until[i] = costs[best], i + 1 + best
    cuts, i = [], 0
    while i < len(places) - 1:
        cuts.append((int(places[i]), int(places[until[i]])))
        i = int(until[i])
    return cuts


def plan_packed(lengths: NDArray[np.integer], max_batch_tokens: int) -> list[NDArray[np.intp]]:
    """As `plan`, for a backend that needs no padding: a batch costs the sum of its lengths, in the order of arrival.

    A batch costs a launch, however little is in it. So there are as few batches as there can be, equal in size where
    that does not take more of them.
    """
    ends = np.cumsum(lengths, dtype=np.int64)
    if not len(ends):
        return []
    in_turn = _filled_in_turn(ends, max_batch_tokens)
    cuts = np.searchsorted(ends, ends[-1] * np.arange(1, len(in_turn) + 1) // len(in_turn), side="right")
    # Fewer batches would not do, so that none is empty where all are within the budget. Before a cut at 0 stands
    # ends[-1], which is more than the budget.
    if np.diff(ends[cuts - 1], prepend=0).max() > max_batch_tokens:
        return in_turn
    return np.split(np.arange(len(ends)), cuts[:-1])


def _filled_in_turn(ends: NDArray[np.int64], max_batch_tokens: int) -> list[NDArray[np.intp]]:
    batches: list[NDArray[np.intp]] = []
    first = 0
    while first < len(ends):
        before = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + max_batch_tokens, side="right")))
        batches.append(np.arange(first, last))
        first = last
    return batches


def pad(packed: RaggedSequences, starts: NDArray[np.int64], rows: NDArray[np.intp], pad_id: int) -> PaddedBatch:
    """Take `rows` out of `packed`, whose row i starts at `starts[i]`, and pad them with `pad_id`."""
    lengths = packed.lengths[rows].astype(np.int64)
    columns = np.arange(lengths.max())
    inside = columns < lengths[:, None]
    positions = np.where(inside, starts[rows][:, None] + columns, 0)
    ids = np.where(inside, packed.ids[positions], pad_id).astype(np.int64, copy=False)
    type_ids = None
    if packed.type_ids is not None:
        type_ids = np.where(inside, packed.type_ids[positions], 0).astype(np.int64)
    targets = None if packed.targets is None else packed.targets[rows].astype(np.int64)
    return PaddedBatch(ids, lengths, type_ids, targets)


def pack(packed: RaggedSequences, starts: NDArray[np.int64], rows: NDArray[np.intp]) -> UnpaddedBatch:
    """Take `rows` out of `packed`, whose row i starts at `starts[i]`."""
    lengths = packed.lengths[rows].astype(np.int64)
    ends = np.cumsum(lengths)
    positions = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)
    taken = positions + np.repeat(starts[rows], lengths)
    type_ids = None if packed.type_ids is None else packed.type_ids[taken].astype(np.int64)
    targets = None if packed.targets is None else packed.targets[rows].astype(np.int64)
    return UnpaddedBatch(packed.ids[taken].astype(np.int64), positions, ends - lengths, lengths, type_ids, targets)
