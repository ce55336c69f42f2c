"""Measures times on a GPU, and prints them as tables. On a CPU everything runs once, small, to try the script."""

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch

from labelstream.workers.engine.error_text import one_line

CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")
HALF = torch.bfloat16 if CUDA else torch.float32
T = TypeVar("T")


def sync() -> None:
    """Wait for the device."""
    if CUDA:
        torch.cuda.synchronize()


def device_ms(run: Callable[[], Any], times: int = 20) -> float:
    """The device's median time for one `run`, by events around each."""
    for _ in range(3 if CUDA else 0):
        run()
    sync()
    if not CUDA:
        return seconds(run) * 1e3
    pairs = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(times)]
    for first, last in pairs:
        first.record()
        run()
        last.record()
    sync()
    return statistics.median(first.elapsed_time(last) for first, last in pairs)


def launch_ms(run: Callable[[], Any], times: int = 20) -> float:
    """The CPU's median time until `run` has launched its work. Waits for an idle device before, not after."""
    run()
    took = []
    for _ in range(times if CUDA else 1):
        sync()
        took.append(seconds(run))
    sync()
    return statistics.median(took) * 1e3


def seconds(run: Callable[[], Any]) -> float:
    """Wall-clock time of one `run`."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def tried(run: Callable[[], T]) -> T | str:
    """The result of `run`, or its error as text, so that one failure does not stop the other measurements."""
    try:
        return run()
    except Exception as error:
        return f"failed: {one_line(error)[:90]}"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a Markdown table at once."""
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head), flush=True)
    for row in rows:
        print("| " + " | ".join(_cell(cell) for cell in row) + " |", flush=True)


def _cell(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"
