"""What `run` does before Ray starts, and with the logs of a run that fails."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labelstream.deploy.cli.application import preflight
from labelstream.deploy.cli.application import run as run_module
from labelstream.deploy.cluster.kept_logs import LOGS
from labelstream.workers.errors import StartError
from labelstream.workers.stream.broker.finding import Finding
from tests.unit.deploy.cli.conftest import Run, fails


def test_metrics_port_beside_an_address_is_refused(run: Run, write_config: Callable[..., str]) -> None:
    fails(run("run", "-c", write_config(), "--address", "a:1", "--metrics-port", "9000"), 2, "comes beside --address")


@pytest.fixture
def findings(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """What is found before Ray starts."""
    found: list[Finding] = []
    monkeypatch.setattr(preflight, "start_findings", lambda settings, port: found)
    return found


def test_problems_are_lines_of_their_own_and_nothing_starts(
    findings: list[Finding], caplog: pytest.LogCaptureFixture
) -> None:
    findings += [Finding("a", "gone\x1b"), Finding("b", "slow", logging.WARNING), Finding("c", "gone")]
    with pytest.raises(StartError, match=r"^nothing is started: 2 problems, see above$"):
        run_module._look_before(None, None)
    assert caplog.messages == ["problem: a: gone\\x1b", "warning: b: slow", "problem: c: gone"]


def test_warnings_keep_nothing_from_starting(findings: list[Finding]) -> None:
    findings.append(Finding("b", "slow", logging.WARNING))
    run_module._look_before(None, None)


def test_logs_of_a_failed_run_are_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "run" / LOGS).mkdir(parents=True)
    with pytest.raises(StartError, match="no model"), run_module._logs_kept(tmp_path / "run"):
        raise StartError("no model")
    [line] = caplog.messages
    assert Path(line.removeprefix("the logs of Ray and Serve are kept in ")).is_dir()


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_logs_of_a_run_that_was_stopped_go_with_it(
    tmp_path: Path, error: type[BaseException] | None, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / LOGS).mkdir(parents=True)
    try:
        with run_module._logs_kept(tmp_path):
            if error is not None:
                raise error
    except KeyboardInterrupt:
        pass
    assert caplog.messages == []


def test_control_plane_that_is_away_for_a_moment_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Runtime:
        answers: Any = iter([StartError("away"), {"models": {}}])

        def status(self, timeout_s: float) -> Any:
            answer = next(self.answers)
            if isinstance(answer, StartError):
                raise answer
            return answer

    monkeypatch.setattr(run_module.time, "sleep", lambda _: None)
    assert run_module._ask(Runtime()) == {"models": {}}
