"""What a policy sees of the simulated cluster: the same readings as of a real one."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from labelstream.deploy.control.scaling.readings import Backlog, PipelineReadings, Readings, ReplicaCounts, WorkerCounts
from labelstream.deploy.simulate.cluster import Cluster, Counts, Workers

PIPELINE, MODEL = "p", "m"
COMMIT_S = 1.0  # age of the committed offsets that brokers know


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


class Shown(NamedTuple):
    at: float
    tick_s: float
    down: bool
    cluster: Cluster
    end: NDArray[np.int64]
    done: NDArray[np.int64]
    served: NDArray[np.int64]
    workers: Workers
    replicas: int
    counts: Counts

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
