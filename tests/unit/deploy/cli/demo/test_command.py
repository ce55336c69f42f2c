"""`labelstream demo`: its settings, its waiting, and its exit code."""

import os
from types import SimpleNamespace
from typing import Any

import pytest

from labelstream.deploy.cli.common.arguments import DEMO_MODEL
from labelstream.deploy.cli.demo import command
from labelstream.deploy.cli.demo.command import PIPELINE
from labelstream.deploy.cli.demo.stream import topics_of
from labelstream.deploy.cli.main import main
from labelstream.workers.errors import ModelError, StartError
from tests.support.reports import pipeline_report


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(command, "time", found)
    return found


def control_client(*states: str | None) -> Any:
    """The worker's state at each call, the last one for ever; None: no worker reports."""
    left = list(states)

    def status() -> dict[str, Any]:
        state = left.pop(0) if len(left) > 1 else left[0]
        return {"pipelines": {PIPELINE: {} if state is None else {"r1": pipeline_report(state=state)}}, "models": {}}

    return SimpleNamespace(status=status)


def test_demo_waits_for_partitions(clock: Clock) -> None:
    command._wait_for_partitions(control_client(None, "starting", "running"))
    assert clock.now == 2 * command.REFRESH_S


@pytest.mark.parametrize(("state", "why"), [(None, "no worker reports"), ("starting", "its workers are starting")])
def test_worker_without_partitions_ends_the_demo(clock: Clock, state: str | None, why: str) -> None:
    with pytest.raises(StartError, match=f"was assigned no partitions within 60 s; .*{why}"):
        command._wait_for_partitions(control_client(state))


class Ledger:
    """`accounted` of 10 messages at each call, the last one for ever."""

    def __init__(self, *accounted: int) -> None:
        self._left = list(accounted)
        self.failure: Exception | None = None

    def totals(self) -> Any:
        accounted = self._left.pop(0) if len(self._left) > 1 else self._left[0]
        return SimpleNamespace(accounted=accounted, missing=10 - accounted)

    def raise_failure(self) -> None:
        if self.failure is not None:
            raise self.failure


def watch(ledger: Ledger, done: bool = True) -> list[int]:
    shown: list[int] = []
    read_back: Any = SimpleNamespace(recent=[])
    command._watch(
        control_client("running"),
        ledger,
        SimpleNamespace(done=done),
        read_back,
        lambda totals, recent: shown.append(totals.accounted),
        60.0,
    )
    return shown


def test_stream_ends_when_all_messages_are_back(clock: Clock) -> None:
    assert watch(Ledger(0, 4, 10)) == [0, 4, 10]


def test_slow_stream_is_not_a_stall(clock: Clock) -> None:
    steps = [count for count in range(11) for _ in range(int(59 / command.REFRESH_S))]
    assert watch(Ledger(*steps))[-1] == 10
    assert clock.now > 500


def test_stalled_stream_ends_with_status_of_worker(clock: Clock) -> None:
    with pytest.raises(StartError, match="no message came back for 60 s; feedback: running"):
        watch(Ledger(3))


def test_failure_of_a_thread_ends_the_demo(clock: Clock) -> None:
    ledger = Ledger(3)
    ledger.failure = StartError("no broker")
    with pytest.raises(StartError, match="no broker"):
        watch(ledger)


def test_settings_have_topics_of_the_run() -> None:
    topics = topics_of("abc")
    settings = command._settings("127.0.0.1:1", str(DEMO_MODEL), topics, "group")
    pipeline = settings.pipelines[PIPELINE]
    assert (pipeline.input, pipeline.output, pipeline.dead_letter) == tuple(topics)
    assert settings.group_id(PIPELINE) == "group"
    assert (settings.http.page, settings.http.page_texts, settings.http.is_local) == (True, True, True)


@pytest.mark.parametrize(("arguments", "password"), [((), None), (("--bootstrap", "h:1"), "hush")])
def test_settings_of_other_runs_are_forgotten(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], password: str | None
) -> None:
    monkeypatch.setenv("LABELSTREAM_KAFKA__SECURITY__PASSWORD", "hush")
    monkeypatch.setenv("LABELSTREAM_PIPELINES__FEEDBACK__INPUT", "production")
    monkeypatch.setattr(command, "run_in_new_session", lambda: None)
    monkeypatch.setattr(command, "_demo", lambda *_: 0)
    with pytest.raises(SystemExit):
        main(["demo", *arguments])
    assert os.environ.get("LABELSTREAM_KAFKA__SECURITY__PASSWORD") == password
    assert "LABELSTREAM_PIPELINES__FEEDBACK__INPUT" not in os.environ


def test_model_is_checked_before_the_start(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    command._check_model(str(DEMO_MODEL))
    command._check_model("owner/name")
    with pytest.raises(ModelError):
        command._check_model(str(tmp_path))
    monkeypatch.setattr(command, "DEMO_MODEL", tmp_path)
    with pytest.raises(ModelError, match="the demo's model is missing; install Labelstream again"):
        command._check_model(str(tmp_path))


def test_given_broker_is_used() -> None:
    with command._broker("host:9092") as address:
        assert address == "host:9092"
    with command._broker(None) as address:
        assert address.startswith("127.0.0.1:")
