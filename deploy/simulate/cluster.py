"""The simulated cluster: replicas and their nodes, workers and their partitions, and the counters of both."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.settings.pipeline import MAX_IN_FLIGHT


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


class Replicas:
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


class Workers:
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


class Counts:
    """The counters of the processes. Replicas share the work evenly."""

    def __init__(self, cluster: Cluster, partitions: int) -> None:
        self._cluster = cluster
        self.messages = np.zeros(partitions, np.int64)  # by worker
        self.tokens = np.zeros(cluster.max_replicas)  # by replica

    def add(self, served: NDArray[np.int64], workers: Workers, replicas: int) -> None:
        self.messages[: workers.up] += np.bincount(workers.owner, served, workers.up).astype(np.int64)
        self.tokens[:replicas] += served.sum() * self._cluster.tokens / max(1, replicas)
