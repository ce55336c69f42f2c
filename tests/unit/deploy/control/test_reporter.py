"""A worker's reports to the control plane, and the commands in its answers."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from labelstream.deploy.control.reporter import Reporter
from labelstream.workers.stream.supervision.commands import CommandAnswer
from tests.support.command_answers import done
from tests.support.reports import pipeline_report


def test_a_worker_obeys_once_however_often_it_hears_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[dict[str, Any], float]] = []
    answer: Future[CommandAnswer] = Future()

    def take(command: Any, timeout_s: float) -> Future[CommandAnswer]:
        taken.append((command, timeout_s))
        return answer

    context = SimpleNamespace(app_name="a", replica_id=SimpleNamespace(unique_id="r1"), deployment="pipeline-p")
    monkeypatch.setattr("labelstream.deploy.control.reporter.serve.get_replica_context", lambda: context)
    reporter = Reporter("pipelines", pipeline_report, lambda name, stats: [], interval_s=60, take=take)
    try:
        command: Any = {"id": "1", "name": "resume", "timeout_s": 20.0}
        reporter._pass_on([command])
        reporter._pass_on([command])
        assert taken == [(command, 20.0)]
        assert reporter._answers() == {}
        answer.set_result(CommandAnswer("done", "gone on"))
        assert reporter._answers() == {"1": done("gone on")}
        reporter._pass_on([command])  # the control plane has not seen it yet
        assert reporter._answers() == {"1": done("gone on")}
        reporter._pass_on([])
        assert reporter._answers() == {}
        assert len(taken) == 1
    finally:
        reporter.stop()
