"""Traces of arrivals over time: built-in traces from a seed, or a CSV file."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.errors import ConfigError
from labelstream.workers.file_errors import file_problem

PARTITIONS = 24
HOUR = 3_600


class Trace(NamedTuple):
    """`arrivals[tick, partition]`: messages produced in a tick of `tick_s` seconds. `down[tick]`: no broker answers."""

    name: str
    tick_s: float
    arrivals: NDArray[np.int64]
    down: NDArray[np.bool_]


def shipped(seed: int = 1) -> list[Trace]:
    """All built-in traces. Another seed makes other traces of the same kinds."""
    return [make(np.random.default_rng([seed, number])) for number, make in enumerate(KINDS.values())]


def _noise(rng: np.random.Generator, ticks: int, share: float = 0.05, length: int = 30) -> NDArray[np.float64]:
    """A factor around 1 that drifts slowly."""
    steps = rng.normal(0, share, ticks // length + 2)
    return np.interp(np.arange(ticks), np.arange(len(steps)) * length, 1 + steps).clip(0.1)


def _spread(
    rng: np.random.Generator,
    name: str,
    rate: NDArray[np.float64],
    tick_s: float = 1.0,
    weights: NDArray[Any] | None = None,
    down: NDArray[np.bool_] | None = None,
) -> Trace:
    weights = rng.uniform(0.8, 1.2, PARTITIONS) if weights is None else weights
    arrivals = rng.poisson(np.asarray(np.outer(rate * tick_s, weights / weights.sum()), np.float64))
    return Trace(name, tick_s, arrivals, np.zeros(len(rate), bool) if down is None else down)


def _steady(rng: np.random.Generator) -> Trace:
    rate = rng.uniform(2_500, 5_500) * _noise(rng, 2 * HOUR)
    return _spread(rng, "steady", rate)


def _ramp(rng: np.random.Generator) -> Trace:
    low, high = rng.uniform(200, 800), rng.uniform(7_000, 11_000)
    up = int(rng.uniform(0.3, 0.7) * HOUR)
    points = [0, 900, 900 + up, 900 + up + 1_200, 900 + 2 * up + 1_200, 2 * HOUR + 1_800]
    rate = np.interp(np.arange(points[-1]), points, [low, low, high, high, low, low])
    return _spread(rng, "ramp", rate * _noise(rng, len(rate)))


def _spike(rng: np.random.Generator) -> Trace:
    base, ticks = rng.uniform(350, 550), 2 * HOUR
    rate = np.full(ticks, base)
    start, length = int(rng.uniform(1_200, 3_000)), int(rng.uniform(240, 900))
    rate[start : start + length] *= 20
    return _spread(rng, "spike x20", rate * _noise(rng, ticks))


def _diurnal(rng: np.random.Generator) -> Trace:
    tick_s, ticks = 5.0, 24 * HOUR // 5
    day = np.arange(ticks) * tick_s / (24 * HOUR)
    wave = 0.5 - 0.5 * np.cos(2 * np.pi * (day + rng.uniform(-0.1, 0.1)))
    lunch = 0.3 * np.exp(-(((day - 0.5) / 0.03) ** 2))
    rate = rng.uniform(300, 700) + rng.uniform(5_000, 9_000) * (wave**1.5 + lunch)
    return _spread(rng, "diurnal", rate * _noise(rng, ticks, 0.08, 60), tick_s)


def _sawtooth(rng: np.random.Generator) -> Trace:
    period, high, ticks = int(rng.uniform(900, 1_500)), rng.uniform(6_000, 9_000), 2 * HOUR
    rate = 100 + high * (np.arange(ticks) % period) / period
    return _spread(rng, "sawtooth", rate * _noise(rng, ticks))


def _dead_broker(rng: np.random.Generator) -> Trace:
    """Nothing is produced or read for 7 to 15 minutes. The producers send the held messages in the next minute."""
    rate = rng.uniform(2_000, 4_000) * _noise(rng, 2 * HOUR)
    start, length = int(rng.uniform(1_800, 3_600)), int(rng.uniform(420, 900))
    down = np.zeros(len(rate), bool)
    down[start : start + length] = True
    rate[start + length : start + length + 60] += rate[down].sum() / 60
    rate[down] = 0
    return _spread(rng, "dead broker", rate, down=down)


def _skewed(rng: np.random.Generator) -> Trace:
    """Most messages have the same key."""
    weights = rng.uniform(0.8, 1.2, PARTITIONS)
    weights[rng.integers(PARTITIONS)] = 2 * weights.sum()
    rate = np.full(2 * HOUR, rng.uniform(1_500, 2_500))
    start = int(rng.uniform(1_500, 3_000))
    rate[start : start + 900] *= 2.5
    return _spread(rng, "skewed partitions", rate * _noise(rng, 2 * HOUR), weights=weights)


KINDS: dict[str, Callable[[np.random.Generator], Trace]] = {
    "steady": _steady,
    "ramp": _ramp,
    "spike x20": _spike,
    "diurnal": _diurnal,
    "sawtooth": _sawtooth,
    "dead broker": _dead_broker,
    "skewed partitions": _skewed,
}


def read_csv(path: Path, partitions: int, tick_s: float = 1.0) -> Trace:
    """Rows of `seconds,messages[,partition]`: the messages that arrive from this time to the next.

    Without a partition, messages are spread evenly. Raises ConfigError with the wrong line.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [_row(path, number, row, partitions) for number, row in enumerate(csv.DictReader(file), 2)]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), f"cannot be read ({file_problem(error, path)})", "give a CSV file") from None
    times = sorted({row[0] for row in rows})
    if len(times) < 2:
        raise ConfigError(str(path), "has fewer than two times", "add rows of seconds,messages")
    if sorted(row[0] for row in rows) != [row[0] for row in rows]:
        raise ConfigError(str(path), "times are not sorted", "sort the rows by seconds")
    ends = dict(zip(times, [*times[1:], 2 * times[-1] - times[-2]], strict=True))
    arrivals = np.zeros((max(1, int(np.ceil((ends[times[-1]] - times[0]) / tick_s))), partitions))
    for seconds, messages, partition in rows:
        first = int((seconds - times[0]) / tick_s)
        last = max(first + 1, int((ends[seconds] - times[0]) / tick_s))
        where = slice(None) if partition is None else partition
        arrivals[first:last, where] += messages / (last - first) / (partitions if partition is None else 1)
    whole = np.diff(np.floor(np.cumsum(arrivals, axis=0) + 1e-6), axis=0, prepend=0)
    return Trace(path.stem, tick_s, whole.astype(np.int64), np.zeros(len(arrivals), bool))


def _row(path: Path, line: int, row: dict[str, str], partitions: int) -> tuple[float, float, int | None]:
    try:
        partition = int(row["partition"]) if row.get("partition") else None
        seconds, messages = float(row["seconds"]), float(row["messages"])
    except (KeyError, TypeError, ValueError):
        raise ConfigError(
            f"{path}:{line}", "not a row of seconds,messages[,partition]", "see `labelstream simulate --help`"
        ) from None
    if messages < 0 or not (partition is None or 0 <= partition < partitions):
        raise ConfigError(
            f"{path}:{line}",
            "negative number of messages, or unknown partition",
            f"use partitions 0 to {partitions - 1}, or set --partitions",
        )
    return seconds, messages, partition
