"""Plans which sequences go through the model together. numpy only, no torch."""

import numpy as np
from numpy.typing import NDArray


def plan(
    lengths: NDArray[np.integer], max_batch_tokens: int, overhead_tokens: int, step: int = 1
) -> list[NDArray[np.intp]]:
    """Split n nonempty sequences into batches of similar length. Returns arrays of rows, which hold 0..n-1 once each.

    A batch costs its longest sequence times its count, at most `max_batch_tokens`; a longer sequence is a batch of its
    own. The longest sequences come first, so that memory freed by one batch fits the next, and the smaller last batch
    is the cheapest. Equal lengths keep their order.

    `overhead_tokens`: fixed cost of a forward, in tokens. The plan minimizes padding and overhead together. `step`:
    lengths are compared in multiples of it, which bounds the planning time.
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
    """Number of sequences of at most `longest` tokens that fit into a batch."""
    return max(1, max_batch_tokens // longest)


def _cheapest_cuts(
    longest_first: NDArray[np.int64], max_batch_tokens: int, overhead_tokens: int, step: int
) -> list[tuple[int, int]]:
    """Ranges (first, last) of sequences that are padded to the first one; `plan` splits a range by the budget.

    Dynamic programming from the shortest to the longest sequence, over the places where the length changes. There are
    at most as many such places as the model has positions.
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
    """As `plan`, for batches without padding, which cost the sum of their lengths. Keeps the order of arrival.

    Each batch costs a launch whatever its size. The plan has as few batches as possible, of equal size if that does not
    need more batches.
    """
    ends = np.cumsum(lengths, dtype=np.int64)
    if not len(ends):
        return []
    in_turn = _filled_in_turn(ends, max_batch_tokens)
    cuts = np.searchsorted(ends, ends[-1] * np.arange(1, len(in_turn) + 1) // len(in_turn), side="right")
    # Batches of equal size may exceed the budget. An empty batch shows here too: for a cut at 0, ends[cuts - 1] is
    # ends[-1], which exceeds the budget.
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
