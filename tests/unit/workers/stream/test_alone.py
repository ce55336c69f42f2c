"""What is suspected of having killed a worker: alone in the pipeline, and as a dead letter with all that it holds."""

from collections.abc import Iterator

import pytest

from labelstream.schemas.dead_letter import Reason, Stage
from labelstream.workers.stream.codec.rejection import Rejection
from tests.support.pipeline_bench import A, Bench, message


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench(commit_interval_ms=60_000)
    yield bench
    bench.classifier.gate.set()
    bench.classifier.close()


def run_dry(bench: Bench) -> None:
    """Without waiting for a commit."""
    bench.turn_until(lambda: not bench.source.waiting and bench.pipeline.drained())


def turns(bench: Bench, times: int = 20) -> None:
    for _ in range(times):
        bench.pipeline.run_once(True)


def test_a_suspect_is_not_read_while_anything_is_in_flight_or_not_committed(bench: Bench) -> None:
    bench.classifier.gate.clear()
    bench.feed(message("a"))
    bench.turn_until(lambda: bool(bench.pipeline.in_flight()))
    bench.source.suspects = True
    bench.feed(message("b"), first=1)
    turns(bench)
    assert len(bench.source.waiting) == 1
    bench.classifier.gate.set()
    bench.turn_until(lambda: not bench.source.waiting)
    assert bench.source.commits[-1] == {A: 1}, "what came before it is committed, though no commit was due"


def test_what_goes_on_after_its_answer_is_noted_first(bench: Bench) -> None:
    told: list[int] = []
    bench.source.beginning.caution.go_on = lambda: told.append(len(bench.producer.sent))
    bench.feed(message("a"))
    run_dry(bench)
    assert told == [0]


def test_a_condemned_record_is_a_dead_letter_that_nobody_has_looked_into(bench: Bench) -> None:
    progress = bench.source.assignment.get(A)
    assert progress is not None
    progress.condemned = Rejection(Reason.CRASHES_WORKER, Stage.CLASSIFY, "WorkerDeath", "3 workers died", 5)
    bench.feed(b"\xff not even JSON")
    run_dry(bench)
    [letter] = bench.producer.letters()
    assert letter["labelstream.reason"] == "crashes_worker"
    assert letter["labelstream.attempts"] == "5"
    assert letter["value"] == b"\xff not even JSON".decode("latin-1")
    assert bench.classifier.calls == []


def test_the_first_progress_of_a_noted_partition_is_committed_at_once(bench: Bench) -> None:
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
