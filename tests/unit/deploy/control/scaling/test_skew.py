"""The spread of a backlog over partitions."""

from labelstream.deploy.control.scaling.estimator import PipelineEstimate
from labelstream.deploy.control.scaling.skew import holding, warning_of


def backlog(*lags: int) -> PipelineEstimate:
    lag = {f"in:{number}": waiting for number, waiting in enumerate(lags)}
    return PipelineEstimate(10.0, 0.0, lag, {}, {}, None, 1, False)


def test_even_backlog_is_held_by_all_partitions() -> None:
    assert holding(backlog(5_000, 5_000, 5_000, 5_000)) == 4
    assert warning_of(backlog(5_000, 5_000, 5_000, 5_000)) is None


def test_one_full_partition_is_told() -> None:
    found = backlog(0, 20_000, 10, 0, 0)
    assert holding(found) == 2  # 1.001, rounded up
    assert warning_of(found) == (
        "partition in:1 has 20000 of the 20010 waiting messages, and one worker reads it; "
        "spread the keys, or add partitions"
    )


def test_spread_of_a_small_backlog_means_nothing() -> None:
    assert holding(backlog(50, 0, 0)) == 3
    assert warning_of(backlog(50, 0, 0)) is None
