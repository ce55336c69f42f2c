"""The simulated policies decide like the originals."""

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

from labelstream.deploy.simulate.cluster import Cluster
from labelstream.deploy.simulate.scalers import KedaLag, KedaSetting, Ours, ServeDefault, ServeSetting
from labelstream.deploy.simulate.traces import Trace
from labelstream.deploy.simulate.world import run

CLUSTER = Cluster(node_start_s=20, model_start_s=10, told_s=0)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 60), st.integers(1, 60)), min_size=1, max_size=20),
    st.sampled_from([0.5, 1.0, 2.0]),
    st.sampled_from([0.0, 30.0]),
    st.sampled_from([60.0, 600.0]),
)
def test_serve_policy_decides_like_ray_serve(
    steps: list[tuple[float, int]], target: float, up: float, down: float
) -> None:
    """Compared with Ray's own functions, on a clock that the test turns."""
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


def test_keda_follows_lag_and_scales_down_late() -> None:
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


def test_own_policy_follows_a_spike_up_and_down() -> None:
    rates = [500] * 300 + [10_000] * 300 + [500] * 400
    arrivals = np.repeat(np.array(rates)[:, None] // 12, 12, axis=1)
    trace = Trace("t", 1.0, arrivals, np.zeros(len(rates), bool))
    outcome = run(trace, CLUSTER, Ours(CLUSTER, 120, 30), 30)
    assert outcome.lag[-1] < 1_000
    assert outcome.replicas.max() >= 10
    assert outcome.replicas[-1] <= 2
    assert outcome.late_share < 0.25


def test_keda_keeps_last_lag_without_broker() -> None:
    keda = KedaLag(CLUSTER, KedaSetting(1_000, 5, 60))
    seen = []
    for at in range(60):
        view: Any = SimpleNamespace(at=float(at), replicas=1, lag=lambda at=at: 4_000 if at < 20 else None)
        seen.append(keda.decide(view)[0])
    assert seen[-1] == seen[19] > 1
