"""A pipeline that commits nothing by time."""

from collections.abc import Iterator

import pytest

from tests.support.pipeline_bench import Bench


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench(commit_interval_ms=60_000)
    yield bench
    bench.classifier.gate.set()
    bench.classifier.close()
