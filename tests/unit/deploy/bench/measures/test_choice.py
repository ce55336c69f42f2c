"""The fastest of several ways, by made-up times."""

from collections import Counter
from collections.abc import Callable, Iterator

from labelstream.deploy.bench.measures.choice import MAX_PROBES, PROBES, fastest


def times(**of: list[float]) -> tuple[Callable[[str], float], "Counter[str]"]:
    """A measurement with the given times, the last one for ever, and the number of its calls by way."""
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
    """The median outvotes one disturbed probe."""
    seconds, asked = times(slow=[1.2, 1.2], fast=[1.0, 2.0, 1.0, 1.0, 1.0], out=[9.0])
    assert fastest(["slow", "fast", "out"], seconds) == "fast"
    assert asked["fast"] > PROBES
    assert asked["slow"] > PROBES
    assert asked["out"] == PROBES


def test_equal_ways_are_probed_at_most_max_probes_times() -> None:
    seconds, asked = times(a=[1.0, 2.0] * 9, b=[1.0, 2.0] * 9)
    assert fastest(["a", "b"], seconds) in ("a", "b")
    assert asked == {"a": MAX_PROBES, "b": MAX_PROBES}


def test_only_way_is_chosen() -> None:
    seconds, _ = times(a=[1.0])
    assert fastest(["a"], seconds) == "a"
