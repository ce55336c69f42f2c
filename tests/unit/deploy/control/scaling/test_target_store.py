"""The newest targets of each application."""

from collections.abc import Iterator

import pytest

from labelstream.deploy.control.scaling import target_store
from labelstream.deploy.control.scaling.target_store import Targets


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    target_store.forget()
    yield
    target_store.forget()


def targets(told_at: float, replicas: int) -> Targets:
    return Targets(told_at, 100.0, {"model-m": replicas})


def test_newer_word_counts_and_an_old_one_does_not() -> None:
    target_store.keep("app", targets(2, 5))
    target_store.keep("app", targets(1, 3))
    target_store.keep("app", targets(2, 4))
    assert target_store.of("app") == targets(2, 5)
    target_store.keep("app", targets(3, 1))
    assert target_store.of("app") == targets(3, 1)


def test_applications_are_kept_apart() -> None:
    target_store.keep("one", targets(1, 5))
    assert target_store.of("two") is None
    target_store.keep(None, targets(1, 2))
    assert target_store.of(None) == targets(1, 2)
    assert target_store.of("one") == targets(1, 5)
