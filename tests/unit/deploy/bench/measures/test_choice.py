"""The fastest of several ways, by made-up times."""

from collections import Counter
from collections.abc import Callable, Iterator

from labelstream.deploy.bench.measures.choice import MAX_PROBES, PROBES, fastest


def times(**of: list[float]) -> tuple[Callable[[str], float], "Counter[str]"]:
    """A measurement that takes what is written, the last one for ever, and how often each was asked for."""
    asked: Counter[str] = Counter()
    lines: dict[str, Iterator[float]] = {name: iter(seconds) for name, seconds in of.items()}

    def seconds(way: str) -> float:
        asked[way] += 1
        return next(lines[way], of[way][-1])

    return seconds, asked


def test_clear_winner_is_probed_no_more_than_the_others() -> None:
    seconds, asked = times(a=[3.0, 3.1], b=[1.0, 1.2], c=[2.0, 2.1])
    assert fastest(["a", "b", "c"], seconds) == "b"
    assert set(asked.values()) == {PROBES}


def test_choice_within_the_spread_is_probed_again() -> None:
    """One disturbed probe of the faster one is outvoted."""
    seconds, asked = times(slow=[1.2, 1.2], fast=[1.0, 2.0, 1.0, 1.0, 1.0], out=[9.0])
    assert fastest(["slow", "fast", "out"], seconds) == "fast"
    assert asked["fast"] > PROBES
    assert asked["slow"] > PROBES
    assert asked["out"] == PROBES


def test_ways_that_are_the_same_are_probed_a_bounded_number_of_times() -> None:
    seconds, asked = times(a=[1.0, 2.0] * 9, b=[1.0, 2.0] * 9)
    assert fastest(["a", "b"], seconds) in ("a", "b")
    assert asked == {"a": MAX_PROBES, "b": MAX_PROBES}


def test_only_way_is_taken() -> None:
    seconds, _ = times(a=[1.0])
    assert fastest(["a"], seconds) == "a"
