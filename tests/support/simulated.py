"""A small simulated cluster, a policy that never changes its mind, and traces by rate."""

import numpy as np

from labelstream.deploy.simulate.cluster import Cluster
from labelstream.deploy.simulate.traces import Trace
from labelstream.deploy.simulate.view import View

CLUSTER = Cluster(node_start_s=20, model_start_s=10, told_s=0)


class Fixed:
    def __init__(self, replicas: int, workers: int = 4) -> None:
        self._decision = replicas, workers

    def decide(self, view: View) -> tuple[int, int]:
        return self._decision


def trace(*rates: int, partitions: int = 4, down: tuple[int, int] = (0, 0)) -> Trace:
    arrivals = np.repeat(np.array(rates)[:, None] // partitions, partitions, axis=1)
    closed = np.zeros(len(rates), bool)
    closed[slice(*down)] = True
    return Trace("t", 1.0, arrivals, closed)
