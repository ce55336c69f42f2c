"""A Ray of this machine, and a cluster that is not there."""

import pytest
from ray._private.node import Node

from labelstream.deploy.cluster import runtime
from labelstream.workers.config_file import load_settings
from labelstream.workers.errors import StartError
from tests.support.streams import wait_until


def test_no_cluster_is_said_so_at_once() -> None:
    settings = load_settings(
        {
            "kafka": {"bootstrap_servers": "localhost:1"},
            "models": {"m": {"source": "x"}},
            "pipelines": {"p": {"input": "a", "output": "b", "dead_letter": "c", "model": "m"}},
        }
    )
    with (
        pytest.raises(StartError, match=r"no Ray cluster answers at 127\.0\.0\.1:1: "),
        runtime.ray_for(settings, "127.0.0.1:1"),
    ):
        pass


def test_processes_that_nobody_uses_are_not_started_within_it_alone() -> None:
    before = {name: getattr(Node, name) for name in runtime.UNUSED}
    with runtime._without_unused():
        node = Node.__new__(Node)
        assert [getattr(node, name)(include_dashboard=False) for name in runtime.UNUSED] == [None] * len(before)
    assert {name: getattr(Node, name) for name in runtime.UNUSED} == before


def test_ray_without_such_a_method_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Node, "start_monitor")
    with runtime._without_unused():
        assert not hasattr(Node, "start_monitor")
    assert not hasattr(Node, "start_monitor")


def test_what_takes_long_is_told_again(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(runtime, "PROGRESS_S", 0.001)
    with runtime._telling("starting Ray"):
        wait_until(lambda: len(caplog.messages) > 1, 30, "a second line")
    assert set(caplog.messages) == {"still starting Ray"}
