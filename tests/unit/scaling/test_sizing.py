"""What follows from the costs of parts for larger systems."""

import pytest

from tests.scaling.sizing import HEADROOM, Costs, ends, size

COSTS = Costs(worker_us=80, worker_per_s=10_000, replica_us=10, broker_us=20, in_bytes=100, out_bytes=150,
              controller_us=1_000, board_us=2_000)


def test_a_system_of_one_gpu() -> None:
    found = size(COSTS, 1, 6_000, 1.0)
    assert (found.workers, found.partitions, found.brokers) == (1, 2, 3)
    assert found.worker_cores == pytest.approx(0.48)
    assert found.controller_cores == pytest.approx(0.002)
    assert found.board_cores == pytest.approx(0.004)


def test_everything_grows_with_the_messages() -> None:
    found = size(COSTS, 1_000, 6_000, 5.0)
    assert found.messages_per_s == 6_000_000
    assert found.workers == 800
    assert found.broker_gbit_s == pytest.approx(6e6 * 250 * 3 * 8 / 1e9)
    assert found.brokers * 8 * HEADROOM >= 6e6 * 3 * 20e-6 - 1e-6
    assert found.brokers * 10 * HEADROOM >= found.broker_gbit_s


def test_where_each_part_ends_it_has_a_whole_core_to_do() -> None:
    for part, gpus in ends(COSTS, 6_000, 5.0).items():
        found = size(COSTS, round(gpus), 6_000, 5.0)
        cores = {"one worker": found.messages_per_s / COSTS.worker_per_s / HEADROOM, "the board": found.board_cores,
                 "Serve's controller": found.controller_cores}
        assert cores[part] == pytest.approx(1, rel=0.25)
