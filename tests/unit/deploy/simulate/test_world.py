"""The simulated cluster loses no message and keeps its limits."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from labelstream.deploy.simulate.world import run
from tests.support.simulated import CLUSTER, Fixed, trace


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


def test_dead_broker_stops_everything() -> None:
    outcome = run(trace(*[1_000] * 100, down=(20, 60)), CLUSTER, Fixed(8), 30)
    assert outcome.lag[59] == 40_000
    assert outcome.lag[75] == 0
