"""The simulated cluster loses nothing, keeps its limits, and its others decide as the originals do."""

import math
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.serve import autoscaling_policy
from ray.serve.config import AutoscalingConfig

from labelstream.deploy.simulate.scalers import KedaLag, KedaSetting, Ours, ServeDefault, ServeSetting
from labelstream.deploy.simulate.traces import KINDS, Trace, shipped
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
def test_nothing_is_lost_and_nobody_does_more_than_it_can(rates: list[int], replicas: int, workers: int) -> None:
    outcome = run(trace(*rates), CLUSTER, Fixed(replicas, workers), 30)
    arrived = np.cumsum([rate // 4 * 4 for rate in rates])
    done = arrived - outcome.lag
    assert (outcome.lag >= 0).all()
    steps = np.diff(done, prepend=0)
    most = np.minimum(outcome.replicas, CLUSTER.calls * outcome.workers) * CLUSTER.replica_per_s
    assert (steps >= 0).all()
    # Rounded up by partition. The first second has the replicas that it begins with, which may be more.
    assert (steps <= most + 4)[1:].all()


def test_a_replica_costs_from_when_its_node_is_asked_for() -> None:
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


def test_waits_are_those_of_first_in_first_out() -> None:
    # 8,000 in the first second and 1,000 done in each: the last of them waits for 7 s more.
    served = run(trace(8_000, *[0] * 60), CLUSTER, Fixed(1, 4), 3)
    assert served.p99_s == 7
    assert served.age_s.max() == 6
    assert served.late_s == 4
    assert served.late_share == 1
    steady = run(trace(*[1_000] * 60), CLUSTER, Fixed(2, 1), 3)
    assert steady.p99_s == 0


def test_a_dead_broker_stops_everything() -> None:
    outcome = run(trace(*[1_000] * 100, down=(20, 60)), CLUSTER, Fixed(8), 30)
    assert outcome.lag[59] == 40_000
    assert outcome.lag[75] == 0


def test_shipped_traces_differ_by_seed_only() -> None:
    one, again, other = shipped(1), shipped(1), shipped(2)
    assert [made.name for made in one] == list(KINDS)
    for left, right, far in zip(one, again, other, strict=True):
        assert (left.arrivals == right.arrivals).all()
        assert left.arrivals.shape != far.arrivals.shape or (left.arrivals != far.arrivals).any()
    spike = one[2].arrivals.sum(axis=1)
    assert np.percentile(spike, 99.9) / np.median(spike) == pytest.approx(20, rel=0.3)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 60), st.integers(1, 60)), min_size=1, max_size=20),
    st.sampled_from([0.5, 1.0, 2.0]),
    st.sampled_from([0.0, 30.0]),
    st.sampled_from([60.0, 600.0]),
)
def test_serves_policy_is_serves(steps: list[tuple[float, int]], target: float, up: float, down: float) -> None:
    """Beside Ray's own functions, with their clock in our hand."""
    config = AutoscalingConfig(
        min_replicas=1,
        max_replicas=CLUSTER.max_replicas,
        target_ongoing_requests=target,
        upscale_delay_s=up,
        downscale_delay_s=down,
    )
    original = autoscaling_policy._apply_autoscaling_config(autoscaling_policy.replica_queue_length_autoscaling_policy)  # pyright: ignore[reportArgumentType]
    ours, state, wanted, at = ServeDefault(CLUSTER, ServeSetting(target, up, down)), {}, 3, 0.0
    recent: list[tuple[float, float]] = []
    with pytest.MonkeyPatch.context() as patch:
        for ongoing, seconds in steps:
            for _ in range(seconds):
                at += 1
                recent = [(then, value) for then, value in [*recent, (at, ongoing)] if then >= at - 30]
                average = sum(value for _, value in recent) / len(recent)
                patch.setattr(time, "time", lambda now=at: now)
                context: Any = SimpleNamespace(
                    current_num_replicas=wanted,
                    target_num_replicas=wanted,
                    total_num_requests=average,
                    config=config,
                    policy_state=state,
                )
                found, state = original(context)
                before, wanted = wanted, max(1, min(CLUSTER.max_replicas, math.ceil(found)))
                view: Any = SimpleNamespace(at=at, replicas=before, ongoing=lambda value=ongoing: value)
                assert ours.decide(view)[0] == wanted


def test_keda_follows_the_lag_and_comes_down_late() -> None:
    keda, seen = KedaLag(CLUSTER, KedaSetting(1_000, 5, 60)), list[int]()
    for at in range(300):
        lag = 500 if at < 20 else 10_000 if at < 100 else 0
        view: Any = SimpleNamespace(at=float(at), replicas=1, lag=lambda value=lag: value)
        seen.append(keda.decide(view)[0])
    assert seen[19] == 1
    assert max(seen[20:46]) <= 10  # at most doubled, or four more, each 15 s
    assert seen[99] > 9
    assert seen[140] == seen[99]
    assert seen[250] == 1


def test_ours_follows_a_spike_and_comes_back() -> None:
    rates = [500] * 300 + [10_000] * 300 + [500] * 400
    outcome = run(trace(*rates, partitions=12), CLUSTER, Ours(CLUSTER, 120, 30), 30)
    assert outcome.lag[-1] < 1_000
    assert outcome.replicas.max() >= 10
    assert outcome.replicas[-1] <= 2
    assert outcome.late_share < 0.25
