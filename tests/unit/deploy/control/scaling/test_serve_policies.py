"""The policies in Serve's controller: they tell what the control plane has told, and nothing else."""

from types import SimpleNamespace
from typing import Any

import pytest
from ray.serve._private.autoscaling_state import _resolve_policy_callable
from ray.serve._private.common import TimeStampedValue
from ray.serve.autoscaling_policy import _apply_autoscaling_config

from labelstream.deploy.control.scaling import serve_policies, target_store
from labelstream.deploy.control.scaling.serve_policies import FollowTargetsPolicy, PublishTargetsPolicy


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def empty() -> None:
    target_store.forget()


def board(metrics: Any, app: str = "labelstream") -> Any:
    return SimpleNamespace(app_name=app, target_num_replicas=1, raw_metrics=metrics)


def model(now: int = 2, app: str = "labelstream") -> Any:
    return SimpleNamespace(app_name=app, deployment_name="model-m", target_num_replicas=now)


def series(*points: tuple[float, float]) -> list[TimeStampedValue]:
    return [TimeStampedValue(at, value) for at, value in points]


def test_the_newest_word_of_the_newest_board_counts() -> None:
    metrics = {"model-m": {"old": series((1, 3), (2, 4)), "new": series((3, 7))}, "pipeline-p": {"new": series((3, 2))}}
    assert PublishTargetsPolicy()(board(metrics)) == (1, {})
    assert FollowTargetsPolicy()(model()) == (7, {})


def test_what_is_told_again_does_not_become_new() -> None:
    clock = Clock()
    publish, ask = PublishTargetsPolicy(clock), FollowTargetsPolicy(clock)
    metrics = {"model-m": {"b": series((1, 7))}}
    publish(board(metrics))
    assert ask(model())[0] == 7
    clock.now = serve_policies.STALE_S + 1
    publish(board(metrics))  # Serve keeps the last report of a board that is silent
    assert ask(model(now=5))[0] == 5
    publish(board({"model-m": {"b": series((2, 9))}}))
    assert ask(model(now=5))[0] == 9


def test_without_word_everything_stays() -> None:
    assert FollowTargetsPolicy()(model(now=3))[0] == 3
    PublishTargetsPolicy()(board({"model-other": {"b": series((1, 7))}}))
    assert FollowTargetsPolicy()(model(now=3))[0] == 3
    PublishTargetsPolicy()(board({"model-m": {"b": series((1, 7))}}, app="another"))
    assert FollowTargetsPolicy()(model(now=3))[0] == 3


@pytest.mark.parametrize(
    "metrics",
    [
        None,
        {},
        {"model-m": {}},
        {"model-m": {"b": []}},
        {"model-m": None},
        {"model-m": {"b": series((1, float("nan")))}},
    ],
    ids=str,
)
def test_the_controller_is_never_harmed(metrics: Any) -> None:
    assert PublishTargetsPolicy()(board(metrics)) == (1, {})
    assert FollowTargetsPolicy()(model(now=3))[0] == 3


@pytest.mark.parametrize(("now", "told"), [(2, 9), (9, 2), (3, 1), (1, 0), (0, 1)])
def test_serve_does_at_once_what_is_told(now: int, told: int) -> None:
    config = serve_policies.config(FollowTargetsPolicy, 0, 10)
    policy = _apply_autoscaling_config(_resolve_policy_callable(config.policy))  # unpickled, as in the controller
    _resolve_policy_callable(serve_policies.config(PublishTargetsPolicy, 1, 1).policy)(
        board({"model-m": {"b": series((1, told))}})
    )
    context: Any = SimpleNamespace(
        app_name="labelstream",
        deployment_name="model-m",
        target_num_replicas=now,
        current_num_replicas=now,
        total_num_requests=0,
        policy_state={},
        config=config,
    )
    assert policy(context)[0] == told
