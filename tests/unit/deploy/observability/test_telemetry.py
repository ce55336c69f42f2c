"""How a replica shows itself: with its place, and without core dumps."""

from types import SimpleNamespace
from typing import Any

import pytest
from ray import serve

from labelstream.deploy.observability import logs, telemetry, tracing
from labelstream.workers.settings.telemetry import Telemetry


def test_logs_and_spans_know_the_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    context = SimpleNamespace(deployment="model-m", replica_id=SimpleNamespace(unique_id="r1"))
    monkeypatch.setattr(serve, "get_replica_context", lambda: context)
    monkeypatch.setattr(telemetry, "forbid_core_dumps", lambda: told.append("no core dumps"))
    monkeypatch.setattr(logs, "set_up", lambda settings, **place: told.append((settings, place)))
    monkeypatch.setattr(tracing, "set_up", lambda settings, **place: told.append((settings, place)))
    shown = Telemetry()
    telemetry.set_up(shown)
    place = {"deployment": "model-m", "replica": "r1"}
    assert told == ["no core dumps", (shown.logs, place), (shown.tracing, place)]
