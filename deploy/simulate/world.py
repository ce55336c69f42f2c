"""Simulates partitions, workers, nodes and replicas. A policy sees the same readings as in a cluster."""

import math
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from labelstream.deploy.control.scaling.readings import Backlog, PipelineReadings, Readings, ReplicaCounts, WorkerCounts
from labelstream.deploy.simulate.traces import Trace
from labelstream.workers.settings.pipeline import MAX_IN_FLIGHT

PIPELINE, MODEL = "p", "m"
COMMIT_S = 1.0  # age of the committed offsets that brokers know


class Cluster(NamedTuple):
    """The simulated cluster. Each replica has its own node (a GPU), which costs from its request to its removal.

    `replica_per_s`, `worker_per_s`: messages per second.
    `calls`: micro-batches of `call_messages` in flight per worker, so the most replicas that a worker keeps busy.
    `pause_s`: the pause of all workers in a rebalance.
    `told_s`: the delay from a reading to the effect of its decision.
    `starts`: measured seconds of the first starts. Later starts take the mean, plus or minus 20%.
    """

    replica_per_s: float = 1_000.0
    worker_per_s: float = 10_000.0
    tokens: int = 32
    calls: int = MAX_IN_FLIGHT
    call_messages: int = 512
    node_start_s: float = 150.0
    model_start_s: float = 40.0
    worker_start_s: float = 10.0
    node_idle_s: float = 60.0
    pause_s: float = 3.0
    told_s: float = 3.0
    starts: tuple[float, ...] = ()
    max_replicas: int = 40
    max_workers: int = 24


class View(Protocol):
    """The readings from outside at the time `at`, in seconds. Computed on demand."""

    @property
    def at(self) -> float: ...
    @property
    def replicas(self) -> int: ...
    def readings(self) -> Readings: ...
    def lag(self) -> int | None:
        """All waiting messages; None if no broker answers."""
        ...

    def ongoing(self) -> float:
        """Running and waiting calls of the models."""
        ...


class Scaler(Protocol):
    """A policy. Decides in each tick: (replicas, workers)."""

    def decide(self, view: View) -> tuple[int, int]: ...


class Outcome(NamedTuple):
    """By tick: waiting messages, age of the oldest in seconds, replicas, nodes, workers. And the totals.

    `late_s`: mean seconds of waiting beyond the limit. `late_share`: the share of messages beyond the limit.
    """

    lag: NDArray[np.int64]
    age_s: NDArray[np.float64]
    replicas: NDArray[np.int64]
    nodes: NDArray[np.int64]
    workers: NDArray[np.int64]
    gpu_hours: float
    min_gpu_hours: float
    late_s: float
    late_share: float
    p99_s: float
    moves: int


class _Replicas:
    """The replicas that run or start, and their nodes."""

    def __init__(self, cluster: Cluster, count: int, rng: np.random.Generator) -> None:
        self._cluster, self._rng = cluster, rng
        self._measured = iter(cluster.starts)
        self.up = count
        self.starting: list[float] = []  # when each start ends
        self._idle: list[float] = []  # when each unused node is removed

    @property
    def nodes(self) -> int:
        return self.up + len(self.starting) + len(self._idle)

    def advance(self, at: float) -> None:
        self.up += sum(ready <= at for ready in self.starting)
        self.starting = [ready for ready in self.starting if ready > at]
        self._idle = [until for until in self._idle if until > at]

    def scale(self, at: float, target: int) -> None:
        for _ in range(target - self.up - len(self.starting)):
            start_s = self._cluster.model_start_s
            if self._idle:
                self._idle.pop()
            else:
                start_s += self._cluster.node_start_s
            self.starting.append(at + next(self._measured, start_s * self._rng.uniform(0.8, 1.2)))
        for _ in range(self.up + len(self.starting) - target):
            if self.starting:  # like Serve: starting replicas first
                self.starting.remove(max(self.starting))
            else:
                self.up -= 1
            self._idle.append(at + self._cluster.node_idle_s)


class _Workers:
    """The number of workers, the owner of each partition, and the end of a rebalance."""

    def __init__(self, cluster: Cluster, count: int, partitions: int) -> None:
        self._cluster, self._partitions = cluster, partitions
        self.up = self._target = count
        self._ready_at = math.inf
        self.paused_until = -math.inf
        self.moves = 0
        self._assign()

    def _assign(self) -> None:
        self.owner = np.arange(self._partitions) % self.up

    def scale(self, at: float, target: int) -> None:
        if target != self._target:
            self._ready_at = at + (self._cluster.worker_start_s if target > self.up else 0)
            self._target = target
        if at >= self._ready_at:
            self.up, self._ready_at, self.paused_until = self._target, math.inf, at + self._cluster.pause_s
            self.moves += 1
            self._assign()


def run(trace: Trace, cluster: Cluster, scaler: Scaler, max_lag_s: float, seed: int = 0) -> Outcome:
    """Simulate `trace`. The start has the replicas that the first minute needs, so that all policies start equal.

    All messages of a tick count as its last message.
    """
    ticks, partitions = trace.arrivals.shape
    first = trace.arrivals[: max(1, int(60 / trace.tick_s))].sum() / max(60.0, trace.tick_s)
    begin = max(1, math.ceil(first / cluster.replica_per_s / 0.8))
    replicas = _Replicas(cluster, min(cluster.max_replicas, begin), np.random.default_rng(seed))
    workers = _Workers(cluster, min(partitions, max(1, math.ceil(begin / 2))), partitions)
    counts = _Counts(cluster, partitions)
    end, done = np.zeros(partitions, np.int64), np.zeros(partitions, np.int64)
    done_at = np.zeros((ticks, partitions), np.int64)
    series = np.zeros((4, ticks), np.int64)
    decisions: deque[tuple[int, int]] = deque(maxlen=1 + round(cluster.told_s / trace.tick_s))
    for tick in range(ticks):
        at = tick * trace.tick_s
        end += trace.arrivals[tick]
        replicas.advance(at)
        served = np.zeros_like(done)
        if not trace.down[tick] and at >= workers.paused_until:
            capacity = replicas.up * cluster.replica_per_s * trace.tick_s
            served = _serve(end - done, workers, capacity, cluster, trace.tick_s)
        done += served
        done_at[tick] = done
        counts.add(served, workers, replicas.up)
        decisions.append(
            scaler.decide(
                _Shown(
                    at, trace.tick_s, bool(trace.down[tick]), cluster, end, done, served, workers, replicas.up, counts
                )
            )
        )
        wanted, hands = decisions[0] if len(decisions) == decisions.maxlen else (begin, workers.up)
        replicas.scale(at, min(cluster.max_replicas, max(0, wanted)))
        workers.scale(at, min(partitions, cluster.max_workers, max(1, hands)))
        series[:, tick] = (end - done).sum(), replicas.up, replicas.nodes, workers.up
    return _outcome(trace, cluster, done_at, series, workers.moves, max_lag_s)


def _serve(
    waiting: NDArray[np.int64], workers: _Workers, capacity: float, cluster: Cluster, tick_s: float
) -> NDArray[np.int64]:
    """The messages done per partition. A worker shares its part by waiting messages, the workers share the capacity."""
    per_worker = np.bincount(workers.owner, waiting, workers.up)
    per_worker_max = min(cluster.worker_per_s, cluster.calls * cluster.replica_per_s) * tick_s
    taken = np.minimum(per_worker, per_worker_max)
    total = taken.sum()
    if total > capacity:
        taken *= capacity / total
    share = np.divide(taken, per_worker, out=np.zeros_like(taken), where=per_worker > 0)
    return np.minimum(waiting, np.ceil(waiting * share[workers.owner] - 1e-9).astype(np.int64))


class _Counts:
    """The counters of the processes. Replicas share the work evenly."""

    def __init__(self, cluster: Cluster, partitions: int) -> None:
        self._cluster = cluster
        self.messages = np.zeros(partitions, np.int64)  # by worker
        self.tokens = np.zeros(cluster.max_replicas)  # by replica

    def add(self, served: NDArray[np.int64], workers: _Workers, replicas: int) -> None:
        self.messages[: workers.up] += np.bincount(workers.owner, served, workers.up).astype(np.int64)
        self.tokens[:replicas] += served.sum() * self._cluster.tokens / max(1, replicas)


class _Shown(NamedTuple):
    at: float
    tick_s: float
    down: bool
    cluster: Cluster
    end: NDArray[np.int64]
    done: NDArray[np.int64]
    served: NDArray[np.int64]
    workers: _Workers
    replicas: int
    counts: _Counts

    def _waiting(self) -> NDArray[np.int64]:
        """The waiting messages by committed offsets, which lag a little behind."""
        return self.end - self.done + (self.served * min(1.0, COMMIT_S / self.tick_s)).astype(np.int64)

    def lag(self) -> int | None:
        return None if self.down else int(self._waiting().sum())

    def readings(self) -> Readings:
        backlog: Mapping[str, Backlog] | None = None
        if not self.down:
            pairs = zip(self.end.tolist(), self._waiting().tolist(), strict=True)
            backlog = {f"input:{number}": Backlog(end, lag) for number, (end, lag) in enumerate(pairs)}
        cluster = self.cluster
        messages = self.counts.messages[: self.workers.up].tolist()
        hands = {
            str(worker): WorkerCounts(count, count / cluster.worker_per_s, {MODEL: count * cluster.tokens})
            for worker, count in enumerate(messages)
        }
        speed = cluster.tokens * cluster.replica_per_s
        replicas = {
            str(number): ReplicaCounts(int(tokens), tokens / speed)
            for number, tokens in enumerate(self.counts.tokens[: self.replicas].tolist())
        }
        return Readings(self.at, {PIPELINE: PipelineReadings(backlog, hands)}, {MODEL: replicas})

    def ongoing(self) -> float:
        cluster = self.cluster
        running = self.served.sum() / self.tick_s / cluster.replica_per_s
        waiting = np.bincount(self.workers.owner, self.end - self.done, self.workers.up) / cluster.call_messages
        return float(min(self.workers.up * cluster.calls, running + np.minimum(waiting, cluster.calls).sum()))


def _outcome(
    trace: Trace, cluster: Cluster, done_at: NDArray[np.int64], series: NDArray[np.int64], moves: int, max_lag_s: float
) -> Outcome:
    ticks, partitions = trace.arrivals.shape
    arrived = np.cumsum(trace.arrivals, axis=0)
    waits, weights, oldest = [], [], np.zeros(ticks)
    for number in range(partitions):
        # For each tick, the tick in which all its messages were done; the last tick if they never were.
        until = np.searchsorted(done_at[:, number], arrived[:, number], side="left")
        waits.append((np.minimum(until, ticks) - np.arange(ticks)) * trace.tick_s)
        weights.append(trace.arrivals[:, number])
        since = np.searchsorted(arrived[:, number], done_at[:, number], side="right")
        behind = arrived[:, number] > done_at[:, number]
        oldest = np.maximum(oldest, np.where(behind, (np.arange(ticks) - since) * trace.tick_s, 0))
    wait, weight = np.concatenate(waits), np.concatenate(weights)
    late, messages = np.maximum(0, wait - max_lag_s), max(1, int(weight.sum()))
    order = np.argsort(wait)
    p99 = wait[order][min(len(wait) - 1, np.searchsorted(np.cumsum(weight[order]), 0.99 * messages))]
    hours = trace.tick_s / 3_600
    return Outcome(
        lag=series[0],
        age_s=oldest,
        replicas=series[1],
        nodes=series[2],
        workers=series[3],
        gpu_hours=float(series[2].sum() * hours),
        min_gpu_hours=messages / cluster.replica_per_s / 3_600,
        late_s=float((late * weight).sum() / messages),
        late_share=float(weight[late > 0].sum() / messages),
        p99_s=float(p99),
        moves=moves,
    )
