"""Failpoints call an installed hook and otherwise do nothing."""

from collections.abc import Iterator

import pytest

from labelstream.workers import failpoints


@pytest.fixture(autouse=True)
def nobody_after() -> Iterator[None]:
    yield
    failpoints.install(None)


def test_point_without_a_hook_does_nothing() -> None:
    for point in failpoints.POINTS:
        failpoints.passed(point)


def test_hook_gets_each_point_and_may_raise() -> None:
    told: list[str] = []
    failpoints.install(told.append)
    for point in failpoints.POINTS:
        failpoints.passed(point)
    assert tuple(told) == failpoints.POINTS

    def end(point: str) -> None:
        raise SystemExit(point)

    failpoints.install(end)
    with pytest.raises(SystemExit, match="after_poll"):
        failpoints.passed(failpoints.AFTER_POLL)


def test_point_names_are_unique() -> None:
    assert len(set(failpoints.POINTS)) == len(failpoints.POINTS) == 6
