"""The least and the most replicas."""

import pytest

from labelstream.deploy.control.scaling.limits import Bounds


@pytest.mark.parametrize(("wanted", "given"), [(-1, 2), (0, 2), (2, 2), (3.9, 3), (5, 5), (1e9, 5)])
def test_wanted_replicas_are_kept_within_bounds(wanted: float, given: int) -> None:
    assert Bounds(2, 5).of(wanted) == given


def test_bounds_that_are_equal_allow_one_number() -> None:
    assert {Bounds(3, 3).of(wanted) for wanted in (0, 3, 7)} == {3}
