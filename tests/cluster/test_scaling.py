"""Twice the replicas have twice the throughput, while a worker's core is not the bottleneck."""

from pathlib import Path

import pytest

from tests.benchmarks.scaling import system
from tests.benchmarks.scaling.measure import TOPICS, Load, points
from tests.kafka import KafkaBroker

pytestmark = [pytest.mark.timeout(600), pytest.mark.measured]
REPLICAS = (1, 4, 16)
OF_LINEAR = 0.9


def test_throughput_grows_with_the_replicas(tmp_path: Path) -> None:
    with KafkaBroker() as broker:
        load = Load(broker, tmp_path)
        with system.ray_with_replicas(system.settings_for(broker.bootstrap, TOPICS, load.fixed, max(REPLICAS), 1)):
            one, *more = points(load, broker, [(replicas, 1) for replicas in REPLICAS])
    assert one.messages_per_s == pytest.approx(system.PER_REPLICA, rel=0.1)
    for point in more:
        assert point.messages_per_s >= OF_LINEAR * point.replicas * one.messages_per_s
