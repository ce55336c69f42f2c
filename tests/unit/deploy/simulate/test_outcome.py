"""Waiting times of a simulation."""

from labelstream.deploy.simulate.world import run
from tests.support.simulated import CLUSTER, Fixed, trace


def test_waiting_times_are_first_in_first_out() -> None:
    # 8,000 in the first second and 1,000 done in each: the last of them waits for 7 s more.
    served = run(trace(8_000, *[0] * 60), CLUSTER, Fixed(1, 4), 3)
    assert served.p99_s == 7
    assert served.age_s.max() == 6
    assert served.late_s == 4
    assert served.late_share == 1
    steady = run(trace(*[1_000] * 60), CLUSTER, Fixed(2, 1), 3)
    assert steady.p99_s == 0
