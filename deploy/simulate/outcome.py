"""The outcome of a simulation: what happened in each tick, the cost and the lateness."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelstream.deploy.simulate.cluster import Cluster
from labelstream.deploy.simulate.traces import Trace


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


def outcome_of(
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
