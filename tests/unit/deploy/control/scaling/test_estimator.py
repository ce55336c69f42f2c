"""Rates, costs, speeds and ages from counters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.deploy.control.scaling.estimator import Estimate, Estimator
from labelstream.deploy.control.scaling.readings import (
    Backlog,
    HttpCounts,
    PipelineReadings,
    Readings,
    ReplicaCounts,
    WorkerCounts,
)


def readings(
    at: float,
    ends: dict[int, int] | None,
    lags: dict[int, int] | None = None,
    workers: dict[str, WorkerCounts] | None = None,
    replicas: dict[str, ReplicaCounts] | None = None,
) -> Readings:
    backlog = None
    if ends is not None:
        backlog = {f"in:{number}": Backlog(end, (lags or {}).get(number, 0)) for number, end in ends.items()}
    return Readings(at, {"p": PipelineReadings(backlog, workers or {})}, {"m": replicas or {}})


def see_all(*all_readings: Readings) -> Estimate:
    estimator = Estimator()
    return [estimator.see(one) for one in all_readings][-1]


def test_the_rate_is_that_of_the_last_seconds() -> None:
    slow = [readings(at, {0: at * 100}) for at in range(100)]
    fast = [readings(100 + at, {0: 10_000 + at * 1_000}) for at in range(20)]
    found = see_all(*slow, *fast).pipelines["p"]
    assert found.arrival_per_s == pytest.approx(1_000)
    assert found.trend > 0
    assert see_all(*slow).pipelines["p"].trend == pytest.approx(0)


def test_partitions_that_are_new_have_not_just_arrived() -> None:
    found = see_all(readings(0, {0: 5_000}), readings(10, {0: 5_100, 1: 70_000})).pipelines["p"]
    assert found.arrival_per_s == pytest.approx(10)


def test_arrivals_during_outage_are_averaged_over_it() -> None:
    gone = [readings(at, None) for at in range(1, 60)]
    found = see_all(readings(0, {0: 0}), *gone, readings(60, {0: 6_000}, {0: 6_000})).pipelines["p"]
    assert found.arrival_per_s == pytest.approx(100)
    assert not found.stale
    assert see_all(readings(0, {0: 0}), *gone).pipelines["p"].stale


def test_the_oldest_is_as_old_as_its_end_of_the_log() -> None:
    ends = [readings(at, {0: at * 10}, {0: at * 10}) for at in range(100)]
    assert see_all(*ends).pipelines["p"].oldest_s == pytest.approx(98)
    # All but the last 300 are done: they came within the last 30 s.
    assert see_all(*ends, readings(100, {0: 1_000}, {0: 300})).pipelines["p"].oldest_s == pytest.approx(29, abs=2)
    assert see_all(*ends, readings(100, {0: 1_000}, {0: 0})).pipelines["p"].oldest_s == 0


def test_partition_of_deleted_topic_is_forgotten() -> None:
    waiting = [readings(at, {0: 10, 1: 10}, {0: 5, 1: 5}) for at in range(20)]
    found = see_all(*waiting, readings(20, {0: 10}, {0: 0})).pipelines["p"]
    assert (found.oldest_s, found.waiting, list(found.lag)) == (0, 0, ["in:0"])


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 60)), min_size=1, max_size=200))
def test_ages_are_never_too_young(steps: list[tuple[int, int]]) -> None:
    estimator, arrived, done = Estimator(), list[int](), 0
    for at, (new, served) in enumerate(steps):
        arrived += [at] * new
        done = min(len(arrived), done + served)
        found = estimator.see(readings(at, {0: len(arrived)}, {0: len(arrived) - done})).pipelines["p"]
        assert found.oldest_s == (at - arrived[done] if done < len(arrived) else 0)


def working(begin: int, seconds: int, tokens_per_s: float, batch: int, known: ReplicaCounts) -> list[Readings]:
    """A replica that is busy all the time with batches of so many tokens, from what it has done before."""
    made = []
    for at in range(seconds):
        tokens = int(at * tokens_per_s)
        counts = known._replace(
            tokens=known.tokens + tokens, busy_s=known.busy_s + at, batches=known.batches + tokens // batch
        )
        made.append(readings(begin + at, {0: 0}, replicas={"a": counts}))
    return made


def speed(*all_readings: Readings) -> float | None:
    return see_all(*all_readings).models["m"].tokens_per_s


def test_only_full_batches_show_that_a_replica_has_become_slower() -> None:
    new = ReplicaCounts(0, 0.0, 0, full_tokens=1_000)
    assert speed(readings(0, {0: 0}, replicas={"a": new})) is None
    busy = working(0, 60, 1_000, 1_000, new)
    assert speed(*busy) == pytest.approx(1_000, rel=0.02)
    done = busy[-1].models["m"]["a"]
    night = working(60, 20_000, 10, 20, done)
    assert speed(*busy, *night) == pytest.approx(1_000, rel=0.15)
    assert speed(*busy, *working(60, 300, 500, 1_000, done)) == pytest.approx(500, rel=0.05)
    assert speed(*busy, *working(60, 60, 2_000, 1_000, done)) == pytest.approx(2_000, rel=0.05)


def test_initial_capacity_is_startup_measurement() -> None:
    assert speed(readings(0, {0: 0}, replicas={"a": ReplicaCounts(0, 0.0, measured=700.0)})) == 700


def test_processes_that_start_anew_count_from_zero() -> None:
    def of(at: int, base: int) -> dict[str, WorkerCounts]:
        return {f"w{base}": WorkerCounts(at * 100, at * 0.01, {"m": at * 3_200})}

    first = [readings(at, {0: 0}, workers=of(at, 1)) for at in range(30)]
    second = [readings(30 + at, {0: 0}, workers=of(at, 2)) for at in range(30)]
    found = see_all(*first, *second).pipelines["p"]
    assert found.cost == {"m": pytest.approx(32)}
    assert found.worker_per_s == pytest.approx(10_000, rel=0.05)
    assert found.workers == 1


def test_http_tokens_of_all_gateways_count() -> None:
    def at(second: int) -> Readings:
        counts = {name: HttpCounts(10 * second, 100 * second, waiting=3) for name in ("g1", "g2")}
        return Readings(second, {}, {"m": {}}, {"m": counts})

    found = see_all(*(at(second) for second in range(1, 20))).models["m"]
    assert found.http_per_s == pytest.approx(200)
    assert found.http_waiting == pytest.approx(6 * 10)


def test_model_without_http_has_no_http_tokens() -> None:
    found = see_all(Readings(0, {}, {"m": {}}), Readings(1, {}, {"m": {}})).models["m"]
    assert (found.http_per_s, found.http_waiting) == (0, 0)
