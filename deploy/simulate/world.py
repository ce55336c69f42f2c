"""Simulates partitions, workers, nodes and replicas under a policy, tick by tick."""

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from labelstream.deploy.simulate.cluster import Cluster, Counts, Replicas, Workers
from labelstream.deploy.simulate.outcome import Outcome, outcome_of
from labelstream.deploy.simulate.traces import Trace
from labelstream.deploy.simulate.view import Scaler, Shown


def run(trace: Trace, cluster: Cluster, scaler: Scaler, max_lag_s: float, seed: int = 0) -> Outcome:
    """Simulate `trace`. The start has the replicas that the first minute needs, so that all policies start equal.

    All messages of a tick count as its last message.
    """
    ticks, partitions = trace.arrivals.shape
    first = trace.arrivals[: max(1, int(60 / trace.tick_s))].sum() / max(60.0, trace.tick_s)
    begin = max(1, math.ceil(first / cluster.replica_per_s / 0.8))
    replicas = Replicas(cluster, min(cluster.max_replicas, begin), np.random.default_rng(seed))
    workers = Workers(cluster, min(partitions, max(1, math.ceil(begin / 2))), partitions)
    counts = Counts(cluster, partitions)
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
                Shown(
                    at, trace.tick_s, bool(trace.down[tick]), cluster, end, done, served, workers, replicas.up, counts
                )
            )
        )
        wanted, hands = decisions[0] if len(decisions) == decisions.maxlen else (begin, workers.up)
        replicas.scale(at, min(cluster.max_replicas, max(0, wanted)))
        workers.scale(at, min(partitions, cluster.max_workers, max(1, hands)))
        series[:, tick] = (end - done).sum(), replicas.up, replicas.nodes, workers.up
    return outcome_of(trace, cluster, done_at, series, workers.moves, max_lag_s)


def _serve(
    waiting: NDArray[np.int64], workers: Workers, capacity: float, cluster: Cluster, tick_s: float
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
