import math
from itertools import combinations, pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from labelstream.workers.engine.inference.forward_plan import plan, plan_packed

LENGTHS = st.lists(st.integers(1, 600), max_size=80)


@given(lengths=LENGTHS, budget=st.integers(1, 2_000), overhead=st.integers(0, 300), step=st.integers(1, 20))
@settings(deadline=None, derandomize=True)
def test_a_plan_covers_each_row_once_within_the_budget(
    lengths: list[int], budget: int, overhead: int, step: int
) -> None:
    batches = plan(np.array(lengths, np.int32), budget, overhead, step)
    assert sorted(row for batch in batches for row in batch.tolist()) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[row] for row in batch)
        assert len(batch) == 1 or longest * len(batch) <= budget
    in_order = [lengths[row] for batch in batches for row in batch]
    assert in_order == sorted(lengths, reverse=True)


def test_a_budget_is_used_to_its_end() -> None:
    assert [batch.tolist() for batch in plan(np.ones(7, np.int64), 3, 64)] == [[0, 1, 2], [3, 4, 5], [6]]
    for budget in (8, 9):
        assert [batch.tolist() for batch in plan_packed(np.array([4, 4, 2]), budget)] == [[0], [1, 2]]
    assert [batch.tolist() for batch in plan_packed(np.array([8, 2, 8]), 10)] == [[0], [1, 2]]
    # Cut in the middle, the second batch would have 13 tokens: each batch is filled in turn.
    assert [batch.tolist() for batch in plan_packed(np.array([9, 3, 10]), 12)] == [[0, 1], [2]]
    assert [batch.tolist() for batch in plan_packed(np.array([4, 4, 2]), 10)] == [[0, 1, 2]]


def _min_cost(lengths: list[int], budget: int, overhead: int) -> int:
    """The lowest cost of all ways to cut `lengths` between different lengths; the budget cuts further."""
    longest_first = sorted(lengths, reverse=True)

    def stretch(first: int, last: int) -> int:
        longest, count = longest_first[first], last - first
        return longest * count + overhead * math.ceil(count / max(1, budget // longest))

    places = [i for i in range(1, len(lengths)) if longest_first[i] != longest_first[i - 1]]
    ways = (cuts for number in range(len(places) + 1) for cuts in combinations(places, number))
    return min(sum(stretch(first, last) for first, last in pairwise([0, *cuts, len(lengths)])) for cuts in ways)


def _cost(lengths: list[int], batches: list[np.ndarray], overhead: int) -> int:
    return sum(max(lengths[row] for row in batch) * len(batch) + overhead for batch in batches)


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=9),
    budget=st.integers(1, 150),
    overhead=st.integers(0, 60),
)
@settings(deadline=None, derandomize=True)
def test_plan_has_the_least_cost_of_all_cuts(lengths: list[int], budget: int, overhead: int) -> None:
    batches = plan(np.array(lengths), budget, overhead)
    # Less is possible: a stretch that the budget cuts is counted as if all of it were padded to its first.
    assert _cost(lengths, batches, overhead) <= _min_cost(lengths, budget, overhead)


@given(lengths=LENGTHS.filter(len), budget=st.integers(600, 5_000), step=st.integers(1, 20))
@settings(deadline=None, derandomize=True)
def test_plan_with_a_step_costs_little_more(lengths: list[int], budget: int, step: int) -> None:
    exact, coarse = (plan(np.array(lengths), budget, 64, one) for one in (1, step))
    assert _cost(lengths, coarse, 64) <= _cost(lengths, exact, 64) + 2 * step * len(lengths) + 64 * len(exact)


def test_one_long_text_does_not_pad_the_short_ones() -> None:
    lengths = np.array([4, 100, 5, 4])
    assert [batch.tolist() for batch in plan(lengths, 1024, 64)] == [[1], [2, 0, 3]]
    assert [batch.tolist() for batch in plan(lengths, 1024, 300)] == [[1, 2, 0, 3]]
    assert [batch.tolist() for batch in plan(np.array([18, 20, 9]), 1024, 0, step=10)] == [[1, 0], [2]]


def test_equal_lengths_keep_their_order() -> None:
    assert [batch.tolist() for batch in plan(np.array([3, 5, 3, 3, 5]), 9, 2)] == [[1], [4], [0, 2, 3]]


@given(lengths=LENGTHS, budget=st.integers(1, 2_000))
@settings(deadline=None, derandomize=True)
def test_unpadded_plan_covers_each_row_once_within_budget(lengths: list[int], budget: int) -> None:
    batches = plan_packed(np.array(lengths, np.int32), budget)
    assert [row for batch in batches for row in batch.tolist()] == list(range(len(lengths)))
    assert all(len(batch) for batch in batches)
    sums = [sum(lengths[row] for row in batch) for batch in batches]
    assert all(total <= budget or len(batch) == 1 for total, batch in zip(sums, batches, strict=True))
    assert len(batches) <= _batches_filled_in_turn(lengths, budget)


def _batches_filled_in_turn(lengths: list[int], budget: int) -> int:
    count, left = 0, 0
    for length in lengths:
        if length > left:
            count, left = count + 1, budget
        left -= length
    return count


@given(lengths=st.lists(st.integers(3, 128), min_size=32, max_size=200))
@settings(deadline=None, derandomize=True)
def test_a_call_larger_than_the_budget_is_cut_into_equal_parts(lengths: list[int]) -> None:
    sums = [sum(lengths[row] for row in batch) for batch in plan_packed(np.array(lengths, np.int32), 2_048)]
    assert max(sums) - min(sums) < max(2, len(sums)) * max(lengths)


def test_unpadded_plan_leaves_no_small_rest() -> None:
    lengths = np.full(520, 33)  # 776 tokens more than a budget
    assert [int(lengths[batch].sum()) for batch in plan_packed(lengths, 16_384)] == [8_580, 8_580]
    assert plan_packed(np.array([], np.int32), 16_384) == []
