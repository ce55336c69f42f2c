"""Estimates rates, costs, capacities and ages from counters. Keeps a short history of the counters; no I/O."""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from labelstream.deploy.control.scaling.readings import (
    Backlog,
    HttpCounts,
    PipelineReadings,
    Readings,
    ReplicaCounts,
    WorkerCounts,
)

FAST_S, SLOW_S = 10.0, 60.0
COUNTS_S = 30.0
FULL_SHARE, LEARN = 0.5, 0.02  # LEARN: weight of each new measurement, one a second
MIN_BUSY_S, MIN_MESSAGES = 1.0, 50
MAX_MARKS = 512
_Value = TypeVar("_Value")


class PipelineEstimate(NamedTuple):
    """Estimates of one pipeline, in messages and seconds.

    - `trend`: change of `arrival_per_s` per second.
    - `lag`: by partition, as TOPIC:PARTITION.
    - `ages`: lower bound of the age of the oldest message without a result, by partition with a backlog. A message
      from before the first reading is as old as that reading.
    - `cost`: tokens of an average message, by model.
    - `worker_per_s`: capacity of one worker's core; None if unknown.
    - `stale`: the brokers do not answer, so rates and backlog are old and must not be used.
    """

    arrival_per_s: float
    trend: float
    lag: Mapping[str, int]
    ages: Mapping[str, float]
    cost: Mapping[str, float]
    worker_per_s: float | None
    workers: int
    stale: bool

    @property
    def oldest_s(self) -> float:
        return max(self.ages.values(), default=0.0)

    @property
    def waiting(self) -> int:
        """Messages without a result, in all partitions."""
        return sum(self.lag.values())


class ModelEstimate(NamedTuple):
    """`replicas`: number of replicas that report. `tokens_per_s`: capacity of one replica; None if unknown.

    `http_per_s`, `http_waiting`: tokens of HTTP requests that arrive per second, and that wait for answers.
    """

    replicas: int
    tokens_per_s: float | None
    http_per_s: float = 0.0
    http_waiting: float = 0.0


class Estimate(NamedTuple):
    at: float
    pipelines: Mapping[str, PipelineEstimate]
    models: Mapping[str, ModelEstimate]


class Estimator:
    """Estimates from readings, which must come in order of time, about one a second."""

    def __init__(self) -> None:
        self._pipelines: dict[str, _PipelineHistory] = {}
        self._models: dict[str, _ModelHistory] = {}

    def see(self, readings: Readings) -> Estimate:
        at = readings.at
        return Estimate(
            at,
            {
                name: self._pipelines.setdefault(name, _PipelineHistory()).see(at, found)
                for name, found in readings.pipelines.items()
            },
            {
                name: self._models.setdefault(name, _ModelHistory()).see(at, found, readings.http.get(name, {}))
                for name, found in readings.models.items()
            },
        )


def _add_to(samples: deque[tuple[float, _Value]], at: float, value: _Value, keep_s: float) -> None:
    """Append a sample and drop the samples older than `keep_s`, except the newest of these."""
    samples.append((at, value))
    while len(samples) > 2 and samples[1][0] <= at - keep_s:
        samples.popleft()


class _Totals:
    """Sums of the processes' counters. Processes start and stop; each counts from 0."""

    def __init__(self, fields: int) -> None:
        self._sums = [0.0] * fields
        self._before: dict[str, tuple[float, ...]] = {}
        self._samples: deque[tuple[float, tuple[float, ...]]] = deque()

    def add(self, at: float, counts: Mapping[str, tuple[float, ...]]) -> None:
        for process, now in counts.items():
            before = self._before.get(process, now)  # counts before the first reading are not from this window
            for field, (old, new) in enumerate(zip(before, now, strict=True)):
                self._sums[field] += max(0.0, new - old)
        self._before = dict(counts)
        _add_to(self._samples, at, tuple(self._sums), COUNTS_S)

    def growth(self) -> tuple[float, ...]:
        (_, first), (_, last) = self._samples[0], self._samples[-1]
        return tuple(new - old for old, new in zip(first, last, strict=True))

    def seconds(self) -> float:
        """Length of the window of `growth`."""
        return self._samples[-1][0] - self._samples[0][0]


class _ModelHistory:
    """Capacity of one replica. Only full batches may lower the estimate: small batches run below capacity."""

    def __init__(self) -> None:
        self._totals = _Totals(3)
        self._http = _Totals(1)
        self._tokens_per_s: float | None = None

    def see(self, at: float, replicas: Mapping[str, ReplicaCounts], http: Mapping[str, HttpCounts]) -> ModelEstimate:
        self._totals.add(
            at, {name: (counts.tokens, counts.busy_s, counts.batches) for name, counts in replicas.items()}
        )
        tokens, busy_s, batches = self._totals.growth()
        if self._tokens_per_s is None:
            self._tokens_per_s = max((counts.measured for counts in replicas.values()), default=0.0) or None
        if busy_s >= MIN_BUSY_S:
            full_tokens = max((counts.full_tokens for counts in replicas.values()), default=0)
            self._learn(tokens / busy_s, tokens >= FULL_SHARE * full_tokens * batches)
        return ModelEstimate(len(replicas), self._tokens_per_s, *self._see_http(at, http))

    def _see_http(self, at: float, http: Mapping[str, HttpCounts]) -> tuple[float, float]:
        """Tokens of HTTP requests: per second, and waiting."""
        self._http.add(at, {name: (counts.tokens,) for name, counts in http.items()})
        seconds = self._http.seconds()
        texts, tokens = (sum(counts[field] for counts in http.values()) for field in (0, 1))
        waiting = sum(counts.waiting for counts in http.values())
        return self._http.growth()[0] / seconds if seconds else 0.0, waiting * (tokens / texts if tokens else 1.0)

    def _learn(self, tokens_per_s: float, full: bool) -> None:
        known = self._tokens_per_s
        if known is None or tokens_per_s > known:
            self._tokens_per_s = tokens_per_s
        elif full:
            self._tokens_per_s = known + LEARN * (tokens_per_s - known)


class _PipelineHistory:
    def __init__(self) -> None:
        self._ends: dict[str, int] = {}
        self._arrived = 0
        self._samples: deque[tuple[float, int]] = deque()
        self._ages = _Ages()
        self._lag: Mapping[str, int] = {}
        self._totals = _Totals(2)
        self._tokens: dict[str, _Totals] = {}
        self._cost: dict[str, float] = {}
        self._worker_per_s: float | None = None

    def see(self, at: float, readings: PipelineReadings) -> PipelineEstimate:
        worker_per_s = self._see_workers(at, readings.workers)
        if readings.backlog is not None:
            self._see_backlog(at, readings.backlog)
        fast, slow = self._rate(FAST_S), self._rate(SLOW_S)
        return PipelineEstimate(
            arrival_per_s=fast,
            trend=2 * (fast - slow) / (SLOW_S - FAST_S),  # the windows' middles are (SLOW_S - FAST_S) / 2 apart
            lag=self._lag,
            ages=self._ages.of(at),
            cost=self._cost,
            worker_per_s=worker_per_s,
            workers=len(readings.workers),
            stale=readings.backlog is None,
        )

    def _see_workers(self, at: float, workers: Mapping[str, WorkerCounts]) -> float | None:
        self._totals.add(at, {name: (counts.messages, counts.cpu_s) for name, counts in workers.items()})
        messages, cpu_s = self._totals.growth()
        for model in {model for counts in workers.values() for model in counts.tokens}:
            totals = self._tokens.setdefault(model, _Totals(1))
            totals.add(at, {name: (counts.tokens.get(model, 0),) for name, counts in workers.items()})
            if messages >= MIN_MESSAGES:
                self._cost[model] = totals.growth()[0] / messages
        if messages >= MIN_MESSAGES and cpu_s > 0:  # few messages look expensive: an idle loop costs CPU too
            self._worker_per_s = max(self._worker_per_s or 0.0, messages / cpu_s)
        return self._worker_per_s

    def _see_backlog(self, at: float, backlog: Mapping[str, Backlog]) -> None:
        for partition, (end, _) in backlog.items():
            self._arrived += max(0, end - self._ends.get(partition, end))
        self._ends = {partition: found.end for partition, found in backlog.items()}
        _add_to(self._samples, at, self._arrived, SLOW_S)
        self._lag = {partition: found.lag for partition, found in backlog.items()}
        self._ages.see(at, backlog)

    def _rate(self, window_s: float) -> float:
        if len(self._samples) < 2:
            return 0.0
        at, arrived = self._samples[-1]
        then, before = _sample_of(self._samples, at - window_s)
        return (arrived - before) / (at - then)


def _sample_of(samples: deque[tuple[float, int]], since: float) -> tuple[float, int]:
    """The newest sample at or before `since`, else the oldest sample."""
    return next((sample for sample in reversed(samples) if sample[0] <= since), samples[0])


class _Ages:
    """Age of the oldest undone message of each partition, from a history of the log's end offsets and their times."""

    def __init__(self) -> None:
        self._marks: dict[str, deque[tuple[float, int]]] = {}

    def see(self, at: float, backlog: Mapping[str, Backlog]) -> None:
        self._marks = {partition: marks for partition, marks in self._marks.items() if partition in backlog}
        for partition, (end, lag) in backlog.items():
            marks = self._marks.setdefault(partition, deque())
            if not marks or end > marks[-1][1]:
                marks.append((at, end))
            while marks and marks[0][1] <= end - lag:
                marks.popleft()
            if len(marks) > MAX_MARKS:  # a long backlog needs no exact times: drop every second mark
                self._marks[partition] = deque(list(marks)[::2])

    def of(self, at: float) -> dict[str, float]:
        return {partition: at - marks[0][0] for partition, marks in self._marks.items() if marks}
