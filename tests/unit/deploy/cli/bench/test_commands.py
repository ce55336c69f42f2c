"""`labelstream bench engine`, `serve` and `stream`: their plans, and interrupts."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labelstream.deploy.bench.suites import engine as engine_suite
from labelstream.deploy.bench.suites import serving as serving_suite
from labelstream.deploy.bench.suites import stream as stream_suite
from labelstream.deploy.cli.bench import commands, view
from labelstream.deploy.cli.common import connect as connecting
from labelstream.workers.errors import ConfigError
from tests.unit.deploy.cli.conftest import Run, fails

FIGURES = {"engine": {"dtype": "float32", "dtype_why": "a trial"}, "serve": {"dtype": "float32", "dtype_why": "-"}}


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The plans. Nothing is measured, and no process is started."""
    plans: list[Any] = []
    for suite in (engine_suite, serving_suite, stream_suite):
        monkeypatch.setattr(suite, "measure", lambda plan, say: plans.append(plan) or {**FIGURES, "limit": "device"})
    monkeypatch.setattr(view, "show", lambda figures, latency: None)
    monkeypatch.setattr(view, "show_stream", lambda figures: None)
    monkeypatch.setattr(commands, "run_in_new_session", lambda: Path("/nowhere"))
    monkeypatch.setattr(commands, "connect", lambda kafka: None)

    @contextlib.contextmanager
    def made(broker: Any, topics: Any, groups: Any) -> Iterator[None]:
        plans.append((sorted(topics), list(groups)))
        yield

    monkeypatch.setattr(connecting, "made_topics", made)
    return plans


@pytest.mark.parametrize("command", ["engine", "serve"])
def test_plan_has_the_options(run: Run, measured: list[Any], command: str) -> None:
    ended = run("bench", command, "-m", "model", "--count", "7", "--rounds", "2", "--device", "cpu", "--dtype", "auto")
    assert ended.code == 0
    [plan] = measured
    assert (plan.source, plan.count, plan.rounds, plan.device, plan.dtype) == ("model", 7, 2, "cpu", "auto")
    assert "dtype auto is float32" in ended.out
    assert "bottleneck: device" in ended.out


def test_zero_shot_labels_are_a_list(run: Run, measured: list[Any]) -> None:
    assert run("bench", "engine", "--task", "zero-shot-classification", "--labels", " a, b ,,c").code == 0
    assert measured[0].labels == ("a", "b", "c")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--task", "zero-shot-classification"], "give both or neither"),
        (["--labels", "a,b"], "give both or neither"),
        (["--task", "fill-mask"], "--task: unknown task 'fill-mask'; give one of"),
    ],
)
def test_labels_need_zero_shot_and_reverse(run: Run, measured: list[Any], arguments: list[str], part: str) -> None:
    fails(run("bench", "engine", *arguments), 2, part)
    assert measured == []


def test_stream_has_unique_topics_and_a_broker(run: Run, measured: list[Any]) -> None:
    assert run("bench", "stream", "--light", "3", "--null-count", "9").code == 0
    (topics, groups), plan = measured
    assert topics
    assert all(topic.startswith(f"labelstream-bench.{plan.run}") for topic in topics)
    assert all(plan.run in group for group in groups)
    assert (plan.light, plan.null_count, plan.paced, plan.load_s) == (3, 9, True, 0.0)
    assert plan.kafka.bootstrap_servers.startswith("127.0.0.1:")


def test_interrupt_ends_with_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(plan: Any, say: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(serving_suite, "measure", interrupt)
    ended = run("bench", "serve")
    assert (ended.code, ended.err) == (130, "interrupted; everything is stopped\n")


def test_broker_and_config_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="--bootstrap"), commands._broker("host:1", Path("file")):
        pass
