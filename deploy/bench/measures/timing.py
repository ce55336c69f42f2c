"""Time, CPU time, medians and percentiles."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class Took(NamedTuple):
    """`cpu_s`: of all threads of this process."""

    seconds: float
    cpu_s: float


def timed(run: Callable[[], Any]) -> Took:
    started, cpu = time.perf_counter(), time.process_time()
    run()
    return Took(time.perf_counter() - started, time.process_time() - cpu)


def median(values: Sequence[float]) -> float:
    """The median, rounded below the noise."""
    return round(statistics.median(values), 4)


def percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    """p50 and p99; empty without measurements."""
    ordered = sorted(milliseconds)
    at = lambda share: round(ordered[round(share * (len(ordered) - 1))], 2)  # noqa: E731
    return {"p50": at(0.5), "p99": at(0.99)} if ordered else {}
