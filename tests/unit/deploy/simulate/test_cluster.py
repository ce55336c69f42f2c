"""Replicas, their nodes and the counters of a simulated cluster."""

from labelstream.deploy.simulate.view import View
from labelstream.deploy.simulate.world import run
from tests.support.simulated import CLUSTER, Fixed, trace


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
