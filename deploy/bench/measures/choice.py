"""Finds the fastest of several ways by noisy measurements."""

import statistics
from collections.abc import Callable, Sequence
from typing import TypeVar

Way = TypeVar("Way")
PROBES, MAX_PROBES = 2, 6


def fastest(ways: Sequence[Way], seconds: Callable[[Way], float]) -> Way:
    """The way with the lowest median of `seconds`, measured in alternating rounds.

    Each way is measured `PROBES` times. Ways whose best time is within the spread of the fastest way are measured
    again, up to `MAX_PROBES` times.
    """
    taken: list[list[float]] = [[] for _ in ways]
    rivals, best = range(len(ways)), 0
    for turn in range(MAX_PROBES):
        for place in rivals:
            taken[place].append(seconds(ways[place]))
        best = min(range(len(ways)), key=lambda place: statistics.median(taken[place]))
        if turn + 1 >= PROBES:
            rivals = [place for place in range(len(ways)) if min(taken[place]) <= max(taken[best])]
            if len(rivals) == 1:
                break
    return ways[best]
