"""The highest of a window, beside a look at all of it."""

from hypothesis import given
from hypothesis import strategies as st

from labelstream.deploy.control.scaling.sliding_max import SlidingMax


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(-5, 5)), min_size=1, max_size=100), st.integers(0, 30))
def test_it_is_the_highest_of_the_window(steps: list[tuple[int, int]], keep_s: int) -> None:
    made, at, seen = SlidingMax(keep_s), 0, list[tuple[int, int]]()
    for passed, value in steps:
        at += passed
        seen.append((at, value))
        assert made.add(at, value) == max(value for then, value in seen if then >= at - keep_s)
