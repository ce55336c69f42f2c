"""How many there are to be, and that it is never silly."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.deploy.control.scaling import policy, targets
from labelstream.deploy.control.scaling.estimator import Estimate, ModelEstimate, PipelineEstimate
from labelstream.deploy.control.scaling.limits import Bounds, ModelRules, PipelineRules, Rules
from labelstream.deploy.control.scaling.policy import Decision, Policy

SPEED, COST = 32_000.0, 32.0  # 1,000 messages/s a replica


def rules(models: Bounds = Bounds(1, 50), workers: Bounds = Bounds(1, 20), calls: int = 4) -> Rules:  # noqa: B008
    return Rules(
        {"m": ModelRules(models)}, {"p": PipelineRules(workers, ("m",), target_drain_s=120, max_lag_s=30, calls=calls)}
    )


def pipeline(
    arrival: float = 0,
    lag: int | Mapping[int, int] = 0,
    stale: bool = False,
    trend: float = 0,
    worker_per_s: float | None = 10_000,
    workers: int = 1,
) -> PipelineEstimate:
    lags = dict.fromkeys(range(24), lag // 24) if isinstance(lag, int) else lag
    lags = {f"in:{number}": waiting for number, waiting in lags.items()}
    return PipelineEstimate(arrival, trend, lags, {}, {"m": COST}, worker_per_s, workers, stale)


def seen(at: float, found: PipelineEstimate, replicas: int = 1, speed: float | None = SPEED) -> Estimate:
    return Estimate(at, {"p": found}, {"m": ModelEstimate(replicas, speed)})


def settled(found: PipelineEstimate, replicas: int = 1, seconds: int = 200, start: int = 1) -> Decision:
    """What it decides after so long of the same, with replicas as they were asked for."""
    made, decision = Policy(rules(), {"model-m": start}), None
    for at in range(seconds):
        decision = made.decide(seen(at, found, replicas))
    assert decision is not None
    return decision


def test_what_comes_can_be_kept_up_with() -> None:
    assert settled(pipeline(arrival=4_400)).models["m"] * policy.USABLE >= 4.4
    assert settled(pipeline(arrival=4_400, lag=4_400), replicas=5).models["m"] == 5


def test_a_backlog_is_gone_in_time() -> None:
    decision = Policy(rules(), {"model-m": 2}).decide(seen(0, pipeline(arrival=1_000, lag=1_200_000), 2))
    start_s, needed = targets.START_S, decision.models["m"]
    left = 1_200_000 + 1_000 * start_s - 2_000 * start_s
    assert needed * 1_000 >= 1_000 + left / 120
    assert needed * 1_000 * 30 >= left  # the youngest of them waits no longer than max_lag_s
    assert needed <= left / 30_000 + 2


def test_policy_asks_no_more_while_replicas_are_starting() -> None:
    made, most = Policy(rules(), {"model-m": 2}), list[int]()
    for at in range(50):
        backlog = 1_200_000 + 3_000 * at  # 5,000/s come, 2,000/s are done
        most.append(made.decide(seen(at, pipeline(arrival=5_000, lag=backlog), 2)).models["m"])
    assert max(most) <= most[0] + 2


def test_a_start_is_measured() -> None:
    made = Policy(rules(), {"model-m": 1})
    made.decide(seen(0, pipeline(arrival=5_000), 1))
    quick = Policy(rules(), {"model-m": 1})
    quick.decide(seen(0, pipeline(arrival=5_000), 1))
    for at in range(1, 20):
        made.decide(seen(at, pipeline(arrival=5_000), 1))
        quick.decide(seen(at, pipeline(arrival=5_000), 6 if at > 5 else 1))
    jump = pipeline(arrival=20_000)
    assert quick.decide(seen(20, jump, 6)).models["m"] <= made.decide(seen(20, jump, 6)).models["m"]
    assert quick._models["m"].start_s < made._models["m"].start_s


def test_it_comes_down_with_patience() -> None:
    made = Policy(rules(), {"model-m": 8})
    assert made.decide(seen(0, pipeline(arrival=7_000), 8)).models["m"] == 8
    quiet = [made.decide(seen(at, pipeline(arrival=500), 8)).models["m"] for at in range(1, 120)]
    assert quiet[int(targets.DOWN_S) - 5] == 8
    assert quiet[-1] == 1


def test_none_is_kept_for_nothing_where_that_is_allowed() -> None:
    made = Policy(rules(models=Bounds(0, 5)), {"model-m": 2})
    found = [made.decide(seen(at, pipeline(), 2)).models["m"] for at in range(int(targets.IDLE_S) + 10)]
    assert found[int(targets.IDLE_S) - 5] == 1  # a last one has more patience
    assert found[-1] == 0
    assert made.decide(seen(400, pipeline(arrival=0.1), 0)).models["m"] == 1
    assert made.decide(seen(401, pipeline(lag=24), 0)).models["m"] == 1


def test_one_that_serve_has_woken_stays_as_long_as_any_other() -> None:
    made = Policy(rules(models=Bounds(0, 5)), {"model-m": 0})
    stopping = [made.decide(seen(at, pipeline(), 1)).models["m"] for at in range(5)]  # it still tells its numbers
    gone = [made.decide(seen(at, pipeline(), 0)).models["m"] for at in range(5, 10)]
    woken = [made.decide(seen(at, pipeline(), 1)).models["m"] for at in range(10, 400)]
    assert stopping == gone == [0] * 5
    assert woken[int(targets.IDLE_S) - 5] == 1
    assert woken[-1] == 0


@pytest.mark.parametrize("found", [pipeline(arrival=9_000, lag=10**7, stale=True), pipeline()], ids=["stale", "gone"])
def test_nothing_moves_on_what_is_not_known(found: PipelineEstimate) -> None:
    made = Policy(rules(), {"model-m": 7, "pipeline-p": 3})
    what = seen(0, found, 7) if found.stale else Estimate(0, {}, {})
    decisions = [made.decide(what._replace(at=at)) for at in range(1_000)]
    assert {decision.models["m"] for decision in decisions} == {7}
    assert {decision.pipelines["p"] for decision in decisions} == {3}


def test_an_unknown_speed_asks_for_one_to_measure() -> None:
    made = Policy(rules(models=Bounds(0, 9)), {"model-m": 0})
    assert made.decide(seen(0, pipeline(arrival=100), 0, speed=None)).models["m"] == 1
    assert Policy(rules(), {"model-m": 4}).decide(seen(0, pipeline(lag=10**6), 4, speed=None)).models["m"] == 4


def test_policy_caps_replicas_at_what_partitions_feed() -> None:
    skewed = pipeline(arrival=2_000, lag={0: 3_000_000, **dict.fromkeys(range(1, 24), 100)})
    decision = settled(skewed)
    assert decision.models["m"] <= 8  # 2 workers' 4 calls each: that partition's, and one for the rest
    assert "partition in:0 has" in decision.warnings["p"]
    assert "can be kept busy" in decision.reasons["model-m"]
    assert settled(pipeline(arrival=2_000, lag=3_000_000)).warnings == {}


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        (Bounds(1, 9), "a replica does 1000: 0 replicas needed, 1 at least by the config"),
        (Bounds(0, 9), "a replica does 1000: 0 replicas needed"),
    ],
    ids=str,
)
def test_reason_tells_what_the_config_asks_beyond_need(bounds: Bounds, said: str) -> None:
    decision = Policy(rules(models=bounds), {"model-m": bounds.min}).decide(seen(0, pipeline(), 1, speed=1_000))
    assert decision.reasons["model-m"].endswith(said)


def test_reason_tells_when_the_config_allows_less() -> None:
    decision = Policy(rules(models=Bounds(0, 2)), {}).decide(seen(0, pipeline(arrival=9_000), 2, speed=1_000))
    assert decision.reasons["model-m"].endswith(": 320 replicas needed, 80 can be kept busy, 2 at most by the config")


def test_workers_follow_what_limits() -> None:
    # 30 replicas do more than the cores of 2 workers can bring.
    decision = settled(pipeline(arrival=27_000, worker_per_s=10_000), replicas=30, start=30)
    assert decision.pipelines["p"] >= 4
    # One slow replica: no worker could make it faster.
    slow, found = Policy(rules(models=Bounds(1, 1)), {"model-m": 1}), None
    for at in range(200):
        found = slow.decide(seen(at, pipeline(arrival=50_000, lag=10**7), 1))
    assert found is not None
    assert found.pipelines["p"] == 1
    assert found.reasons["pipeline-p"].startswith("workers needed: 1 for ")
    assert " messages/s, " in found.reasons["pipeline-p"]


def test_workers_never_outnumber_partitions() -> None:
    few = pipeline(arrival=50_000, lag=dict.fromkeys(range(3), 10**6), worker_per_s=1_000)
    made, found = Policy(rules(), {"model-m": 50}), None
    for at in range(300):
        found = made.decide(seen(at, few, 50))
    assert found is not None
    assert found.pipelines["p"] == 3


def test_workers_move_seldom() -> None:
    made, before, moves = Policy(rules(), {"model-m": 4, "pipeline-p": 2}), 2, 0
    for at in range(3_600):
        arrival = 4_000 if at % 120 < 60 else 9_000
        now = made.decide(seen(at, pipeline(arrival=arrival, worker_per_s=2_000), 10)).pipelines["p"]
        moves += now != before
        before = now
    assert moves <= 2


@given(
    st.lists(
        st.tuples(
            st.floats(0, 1e6),
            st.integers(0, 10**9),
            st.integers(0, 60),
            st.booleans(),
            st.floats(-1e4, 1e4),
            st.none() | st.floats(1, 1e6),
        ),
        max_size=60,
    ),
    st.integers(0, 3),
)
def test_it_stays_within_its_bounds(steps: list[tuple[float, int, int, bool, float, float | None]], least: int) -> None:
    made = Policy(rules(Bounds(least, 9), Bounds(1, 5)), {"model-m": max(1, least), "pipeline-p": 1})
    for at, (arrival, lag, replicas, stale, trend, speed) in enumerate(steps):
        found = made.decide(seen(at * 7.0, pipeline(arrival, lag, stale, trend), replicas, speed))
        assert least <= found.models["m"] <= 9
        assert 1 <= found.pipelines["p"] <= 5


def test_two_pipelines_share_a_model() -> None:
    both = Rules(
        {"m": ModelRules(Bounds(1, 50))}, {name: PipelineRules(Bounds(1, 9), ("m",), 120, 30, 4) for name in ("p", "q")}
    )
    what = Estimate(0, {"p": pipeline(arrival=3_000), "q": pipeline(arrival=5_000)}, {"m": ModelEstimate(9, SPEED)})
    assert Policy(both, {"model-m": 1}).decide(what).models["m"] == 9


def test_policy_caps_replicas_at_what_worker_cores_feed() -> None:
    """One partition's worker does 5,000 messages/s, which is what five replicas do, however many calls it may hold."""
    skewed = pipeline(arrival=2_000, lag={0: 3_000_000, **dict.fromkeys(range(1, 24), 100)}, worker_per_s=5_000)
    made, decision = Policy(rules(calls=64), {"model-m": 1}), None
    for at in range(200):
        decision = made.decide(seen(at, skewed, 1))
    assert decision is not None
    assert decision.models["m"] <= 10  # of two workers: that partition's, and one for the rest


def http_only(per_s: float, waiting: float, replicas: int, seconds: int) -> Decision:
    """The decision after so long of the same HTTP requests, without a pipeline; `min` is 0."""
    decide = Policy(Rules({"m": ModelRules(Bounds(0, 9))}, {}, http=True), {"model-m": replicas}).decide
    model = ModelEstimate(replicas, SPEED, per_s, waiting)
    return [decide(Estimate(at, {}, {"m": model})) for at in range(seconds)][-1]


def test_http_requests_alone_keep_a_model_up() -> None:
    assert http_only(per_s=10.0, waiting=0.0, replicas=1, seconds=700).models == {"m": 1}


def test_http_requests_alone_add_replicas() -> None:
    assert http_only(per_s=3 * SPEED, waiting=0.0, replicas=1, seconds=10).models == {"m": 4}
    assert http_only(per_s=0.0, waiting=500 * SPEED, replicas=1, seconds=10).models == {"m": 9}


def test_model_without_http_requests_goes_to_zero() -> None:
    assert http_only(per_s=0.0, waiting=0.0, replicas=1, seconds=700).models == {"m": 0}
