"""The simulated cluster loses no message and keeps its limits."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from labelstream.deploy.simulate.traces import Trace
from labelstream.deploy.simulate.world import Cluster, View, run

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


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=120), st.integers(1, 6), st.integers(1, 4))
def test_no_message_is_lost_and_no_limit_exceeded(rates: list[int], replicas: int, workers: int) -> None:
    outcome = run(trace(*rates), CLUSTER, Fixed(replicas, workers), 30)
    arrived = np.cumsum([rate // 4 * 4 for rate in rates])
    done = arrived - outcome.lag
    assert (outcome.lag >= 0).all()
    steps = np.diff(done, prepend=0)
    most = np.minimum(outcome.replicas, CLUSTER.calls * outcome.workers) * CLUSTER.replica_per_s
    assert (steps >= 0).all()
    # Rounded up by partition. The first second has the replicas that it begins with, which may be more.
    assert (steps <= most + 4)[1:].all()


def test_replica_costs_from_request_of_its_node() -> None:
    class Later(Fixed):
        def decide(self, view: View) -> tuple[int, int]:
            return (1 if view.at < 100 else 3 if view.at < 300 else 1), 1

    outcome = run(trace(*[100] * 600), CLUSTER, Later(0), 30)
    assert outcome.nodes[101] == 3
    assert outcome.replicas[110] == 1
    assert outcome.replicas[140] == 3
    assert outcome.replicas[301] == 1
    assert outcome.nodes[301] == 3
    assert outcome.nodes[301 + int(CLUSTER.node_idle_s)] == 1


def test_waiting_times_are_first_in_first_out() -> None:
    # 8,000 in the first second and 1,000 done in each: the last of them waits for 7 s more.
    served = run(trace(8_000, *[0] * 60), CLUSTER, Fixed(1, 4), 3)
    assert served.p99_s == 7
    assert served.age_s.max() == 6
    assert served.late_s == 4
    assert served.late_share == 1
    steady = run(trace(*[1_000] * 60), CLUSTER, Fixed(2, 1), 3)
    assert steady.p99_s == 0


def test_dead_broker_stops_everything() -> None:
    outcome = run(trace(*[1_000] * 100, down=(20, 60)), CLUSTER, Fixed(8), 30)
    assert outcome.lag[59] == 40_000
    assert outcome.lag[75] == 0
