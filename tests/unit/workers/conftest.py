"""Benches of the stream's tests."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.pipeline_bench import Bench


@pytest.fixture
def benches() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**more: Any) -> Bench:
        made.append(Bench(**more))
        return made[-1]

    yield make
    for bench in made:
        bench.classifier.gate.set()
        bench.classifier.close()
