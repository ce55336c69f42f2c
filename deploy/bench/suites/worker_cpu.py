"""Measures the worker's CPU per message with a null model, and the part of it that kafka-python takes."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from labelstream.deploy.bench.harness.application import cpu_s, processes

SETTLE_S = 1.5  # a worker commits within a second
Say = Callable[[str], None]
Rounds = dict[str, list[float]]


def cpu_rounds(
    stream: Callable[[list[str]], float],
    bare: Callable[[int, int], float],
    texts: list[str],
    rounds: int,
    say: Say,
    pipeline: str = "p",
) -> Rounds:
    """CPU microseconds per message: `total` of the worker, `bare` of kafka-python alone, `own` for the difference.

    Also `rate`: messages per second. `stream` sends texts, waits for all results, and returns seconds. `bare` takes a
    turn and a count, and returns CPU seconds.
    """
    found: Rounds = defaultdict(list)
    pid, count = processes(pipeline).worker, len(texts)
    for turn in range(rounds + 1):
        resting_cpu, resting_s, _ = _spent(pid, lambda: time.sleep(SETTLE_S))
        spent_cpu, spent_s, seconds = _spent(pid, lambda: _settled(stream, texts))
        total, alone = spent_cpu - resting_cpu / resting_s * spent_s, bare(turn, count)
        if not turn:
            continue  # the first round warms the caches
        for name, value in (("total", total), ("bare", alone), ("own", total - alone)):
            found[name].append(value / count * 1e6)
        found["rate"].append(count / seconds)
        say(
            f"round {turn} of {rounds}: {found['total'][-1]:.1f} us of CPU per message with a null model, "
            f"{found['own'][-1]:.1f} without kafka-python's part"
        )
    return found


def cpu_figures(found: Rounds) -> dict[str, Any]:
    """The medians."""
    at = {name: statistics.median(values) for name, values in found.items()}
    return {
        "cpu_us_per_message": round(at["total"], 2),
        "own_cpu_us_per_message": round(at["own"], 2),
        "kafka_python_us_per_message": round(at["bare"], 2),
        "messages_per_s_with_null_model": round(at["rate"], 1),
    }


def _settled(stream: Callable[[list[str]], float], texts: list[str]) -> float:
    seconds = stream(texts)
    time.sleep(SETTLE_S)
    return seconds


def _spent(pid: int, run: Callable[[], Any]) -> tuple[float, float, Any]:
    """CPU seconds of the process during `run`, elapsed seconds, and the result of `run`."""
    cpu, started = cpu_s(pid), time.perf_counter()
    given = run()
    return cpu_s(pid) - cpu, time.perf_counter() - started, given
