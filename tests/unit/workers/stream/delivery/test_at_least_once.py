"""Offsets are committed behind acknowledgements, and at once where a note has to go."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.errors import KafkaTimeoutError

from labelstream.workers.errors import StreamError
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.delivery.at_least_once import AtLeastOnce
from labelstream.workers.stream.stats import Stats
from tests.support.clock import Clock
from tests.support.pipeline_bench import A, Bench, message, run_dry, turns


def test_first_progress_of_noted_partition_commits_at_once(bench: Bench) -> None:
    turns(bench, 1)  # with the first commit of the interval
    progress = bench.source.assignment.get(A)
    assert progress is not None
    progress.begin(0, "a note", "")
    bench.feed(message("a"))
    bench.turn_until(lambda: bench.source.commits == [{A: 1}])
    assert bench.source.assignment.notes() == {}
    bench.feed(message("b"), first=1)
    run_dry(bench)
    turns(bench, 3)
    assert bench.source.commits == [{A: 1}]


def test_nothing_is_committed_before_its_acknowledgement(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.producer.hold = True
    bench.feed(message("a"), message("b"))
    bench.turn_until(lambda: len(bench.producer.acks) == 2)
    bench.producer.acks[1].success(None)
    for _ in range(30):
        bench.pipeline.run_once(True)
    assert all(offset == 0 for commit in bench.source.commits for offset in commit.values())
    bench.producer.acks[0].success(None)
    bench.run_dry()
    assert bench.source.commits[-1] == {A: 2}


def test_a_lost_acknowledgement_stops_the_stream(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.producer.hold = True
    bench.feed(message("a"))
    bench.turn_until(lambda: len(bench.producer.acks) == 1)
    bench.producer.acks[0].failure(KafkaTimeoutError())
    with pytest.raises(StreamError, match="not acknowledged"):
        bench.turn_until(lambda: False)
    assert all(offset == 0 for commit in bench.source.commits for offset in commit.values())


def test_commits_are_an_interval_apart() -> None:
    commits: list[float] = []
    clock = Clock()
    source: Any = SimpleNamespace(committer=SimpleNamespace(commit=lambda: commits.append(clock.now)))
    sink: Any = SimpleNamespace(throttled_s=lambda: 0.0)
    settings = PipelineSettings.model_validate(
        {"input": "in", "output": "out", "dead_letter": "dlq", "model": "m", "commit_interval_ms": 500}
    )
    delivery = AtLeastOnce(settings, source, sink, Stats(), clock)
    for clock.now in (1_000.0, 1_000.25, 1_000.5, 1_000.75, 1_001.0):
        assert delivery.commit_when_due() is None
    assert commits == [1_000.0, 1_000.5, 1_001.0]
