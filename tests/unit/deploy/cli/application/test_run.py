"""`run` before Ray starts, and the logs of a failed run."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from labelstream.deploy.cli.application import preflight
from labelstream.deploy.cli.application import run as run_module
from labelstream.deploy.cluster.kept_logs import LOGS
from labelstream.deploy.control.deployed import Deployed, new_owner
from labelstream.workers.config_file import without_secrets
from labelstream.workers.errors import StartError
from labelstream.workers.settings.application import Settings
from labelstream.workers.stream.broker.finding import Finding
from tests.unit.deploy.cli.conftest import Run, fails


def test_metrics_port_beside_an_address_is_refused(run: Run, write_config: Callable[..., str]) -> None:
    fails(
        run("run", "-c", write_config(), "--address", "a:1", "--metrics-port", "9000"), 2, "unexpected beside --address"
    )


def test_metrics_address_without_a_port_is_refused(run: Run, write_config: Callable[..., str]) -> None:
    done = run("run", "-c", write_config(), "--metrics-address", "0.0.0.0")
    fails(done, 2, "--metrics-address: needs --metrics-port; add --metrics-port PORT")


@pytest.mark.parametrize(
    ("http", "port"), [("kafka:", 8_000), ("http: {port: 8123}\nkafka:", 8_123)], ids=["without http", "with http"]
)
def test_page_is_an_option(
    run: Run, write_config: Callable[..., str], monkeypatch: pytest.MonkeyPatch, http: str, port: int
) -> None:
    seen: list[Settings] = []
    monkeypatch.setattr(run_module, "_run", lambda settings, *_: seen.append(settings))
    monkeypatch.setattr(run_module, "run_in_new_session", lambda machine_checked: None)
    config = write_config("kafka:", http)
    assert [run("run", "-c", config, *page).code for page in ([], ["--page"])] == [0, 0]
    without, shown = (settings.http for settings in seen)
    assert without is None or not without.page
    assert shown is not None
    assert (shown.page, shown.page_texts, shown.port) == (True, False, port)
    assert without_secrets(seen[1])["http"]["page"] is True


def test_error_under_json_logs_is_a_json_line(
    run: Run, write_config: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StartError("nothing is started: 1 problem, see above")

    monkeypatch.setattr(run_module, "_run", fail)
    monkeypatch.setattr(run_module, "run_in_new_session", lambda machine_checked: None)
    ended = run("run", "-c", write_config("kafka:", "logs: {format: json}\nkafka:"))
    assert ended.code == 1
    [line] = map(json.loads, ended.err.splitlines())
    assert (line["level"], line["message"]) == ("ERROR", "nothing is started: 1 problem, see above")
    fails(run("run"), 2, "--config: is missing")  # plain again


@pytest.fixture
def findings(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """The findings before Ray starts."""
    found: list[Finding] = []
    monkeypatch.setattr(preflight, "start_findings", lambda settings, port, runs: found)
    return found


def test_each_problem_is_logged_and_nothing_starts(findings: list[Finding], caplog: pytest.LogCaptureFixture) -> None:
    findings += [Finding("a", "gone\x1b"), Finding("b", "slow", logging.WARNING), Finding("c", "gone")]
    with pytest.raises(StartError, match=r"^nothing is started: 2 problems, see above$"):
        run_module.look_before(None, None, "nothing is started")
    assert caplog.messages == ["a: gone\\x1b", "b: slow", "c: gone"]


def test_warnings_do_not_prevent_the_start(findings: list[Finding]) -> None:
    findings.append(Finding("b", "slow", logging.WARNING))
    run_module.look_before(None, None, "nothing is started")


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
def test_logs_of_a_stopped_run_are_deleted(
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


OWNER = new_owner("run", Path("other.yaml"), False)


@pytest.fixture
def at_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """at_terminal(answer): a terminal whose user types the answer."""

    def answer(text: str) -> None:
        monkeypatch.setattr(run_module.sys, "stdin", SimpleNamespace(isatty=lambda: True))
        monkeypatch.setattr(run_module.typer, "confirm", lambda question, err: text == "y")

    return answer


def test_application_is_not_replaced_without_terminal() -> None:
    with pytest.raises(
        StartError, match=r"by `labelstream run` of .*other\.yaml\); change it with `labelstream apply -c x`"
    ):
        run_module._require_free(Deployed(OWNER, {}, 30.0), "-c x")


def test_application_is_replaced_after_confirmation(at_terminal: Callable[[str], None]) -> None:
    at_terminal("y")
    run_module._require_free(Deployed(OWNER, {}, 30.0), "-c x")
    at_terminal("n")
    with pytest.raises(StartError, match="nothing is started"):
        run_module._require_free(Deployed(OWNER, {}, 30.0), "-c x")


def test_local_run_of_another_file_is_never_replaced(at_terminal: Callable[[str], None]) -> None:
    at_terminal("y")
    with pytest.raises(StartError, match="ends with that command"):
        run_module._require_free(Deployed({**OWNER, "local": True}, {}, 30.0), "-c x")


def test_empty_cluster_is_free() -> None:
    run_module._require_free(None, "-c x")


@pytest.mark.parametrize(("address", "what"), [("h:1", "already runs"), ("", "is already starting")])
def test_second_run_of_same_file_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str, what: str
) -> None:
    config = tmp_path / "a.yaml"
    note = SimpleNamespace(config=str(config), pid=7, address=address)
    monkeypatch.setattr(run_module, "noted_runs", lambda: [SimpleNamespace(note=note)] if address else [])
    monkeypatch.setattr(run_module, "starting_runs", lambda: [] if address else [note])
    run_module._require_no_run(tmp_path / "b.yaml")
    with pytest.raises(
        StartError, match=rf"{what} on this machine \(process 7\); change it with `labelstream apply -c .*a\.yaml`"
    ):
        run_module._require_no_run(config)


def test_broker_problems_on_a_cluster_are_warnings(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    found = [Finding("a", "gone"), Finding("b", "in memory", logging.INFO)]
    monkeypatch.setattr(preflight, "kafka_findings", lambda settings: iter(found))
    run_module.warn_before(None)
    assert caplog.messages == ["a: gone, as seen from this machine"]
