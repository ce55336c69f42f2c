"""Targets rise soon and fall late."""

from labelstream.deploy.control.scaling import targets
from labelstream.deploy.control.scaling.limits import Bounds
from labelstream.deploy.control.scaling.targets import ModelTarget, WorkerTarget


def test_replicas_rise_at_once_and_fall_to_the_need_of_the_window() -> None:
    target = ModelTarget(2)
    assert target.follow(0, 5) == 5
    assert target.follow(targets.DOWN_S / 2, 1) == 5
    assert target.follow(targets.DOWN_S * 2, 1) == 1


def test_last_replica_stays_longer() -> None:
    target = ModelTarget(1)
    assert target.follow(0, 1) == 1
    assert target.follow(targets.DOWN_S * 2, 0) == 1
    assert target.follow(targets.IDLE_S * 2, 0) == 0


def test_start_of_a_replica_is_measured() -> None:
    target = ModelTarget(1)
    target.ask_for(0, 2)
    assert target.coming_s(10, 1) == 10
    target.notice(20, 2)
    assert target.start_s == (targets.START_S + 20) / 2
    assert target.coming_s(20, 2) == 0


def test_workers_move_after_a_lasting_need_and_stay_within_bounds() -> None:
    target = WorkerTarget(2, Bounds(1, 5))
    assert target.follow(0, 3) == 2
    assert target.follow(targets.WORKERS_UP_S, 3) == 5  # with room for more
    assert target.follow(targets.WORKERS_UP_S + 1, 1) == 5
    assert target.follow(targets.WORKERS_UP_S + targets.WORKERS_DOWN_S + 1, 1) == 1
