"""When a worker says that too many messages become dead letters, on a clock that the test turns."""

from collections import Counter

from labelstream.workers.settings.pipeline import BreakerSettings
from labelstream.workers.stream.stats import Stages, Stats, Tally
from labelstream.workers.stream.supervision.dead_letter_share import DeadLetterShare
from tests.support.clock import Clock


class Bench:
    def __init__(self, **settings: float) -> None:
        self.clock, self.stats = Clock(), Stats()
        self.send(results=1_000)  # before its time
        self.share = DeadLetterShare(BreakerSettings(**settings), self.stats, self.clock)  # type: ignore[arg-type]

    def send(self, results: int = 0, **dead: int) -> None:
        letters = Counter(
            {(f"in:{partition}", reason): count for partition, (reason, count) in enumerate(dead.items())}
        )
        self.stats.sent(Tally(Counter({"in:0": results}), letters), Stages(0, 0, 0, 0))

    def look(self) -> str:
        self.clock.now += 0.5
        return self.share.alarm()


def test_it_needs_a_sample_and_a_share() -> None:
    bench = Bench()
    bench.send(results=39, invalid_json=60)
    assert bench.look() == ""
    bench.send(results=1)
    assert bench.look() == (
        "60 of the last 100 messages became dead letters (invalid_json 60), which is above "
        "breaker.max_share (0.5); the pipeline continues"
    )
    bench.send(results=20)
    assert bench.look() == ""


def test_it_counts_every_reason_most_frequent_first() -> None:
    bench = Bench()
    bench.send(empty_text=10, invalid_json=60, result_refused=30)
    assert "100 of the last 100 messages became dead letters (invalid_json 60, result_refused 30, empty_text 10)" in (
        bench.look()
    )


def test_it_is_over_when_the_window_is() -> None:
    bench = Bench(window_s=60)
    bench.send(invalid_json=100)
    for _ in range(119):
        assert bench.look()
    assert [bench.look() for _ in range(3)][-1] == ""


def test_one_is_never() -> None:
    bench = Bench(max_share=1)
    bench.send(invalid_json=1_000)
    assert bench.look() == ""
