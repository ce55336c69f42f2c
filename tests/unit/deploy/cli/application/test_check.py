"""`check`: the summary of a config and, with --connect, the problems outside the file."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from labelstream.deploy.cli.application import preflight
from labelstream.workers.stream.broker.finding import Finding
from tests.unit.deploy.cli.conftest import Run

WriteConfig = Callable[..., str]


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Finding]]:
    """The findings on brokers, this machine and models."""
    lists: dict[str, list[Finding]] = {"kafka": [], "local": [], "model": []}
    for kind, findings in lists.items():

        def give(*_: Any, found: list[Finding] = findings) -> list[Finding]:
            return list(found)

        monkeypatch.setattr(preflight, f"{kind}_findings", give)
    return lists


def test_check_prints_summary_of_config(run: Run, write_config: Callable[..., str]) -> None:
    ended = run("check", "-c", write_config())
    assert ended.code == 0
    assert "kafka: 127.0.0.1:9, PLAINTEXT" in ended.out
    assert "model sentiment: /no/such/model, 1 replica," in ended.out
    assert "pipeline feedback: in -> out, dead letters to dlq, model sentiment, 1 worker, " in ended.out
    assert "group labelstream-feedback" in ended.out


def test_summary_tells_the_range_of_workers(run: Run, write_config: WriteConfig) -> None:
    ended = run("check", "-c", write_config("model: sentiment}", "model: sentiment, workers: {min: 1, max: 2}}"))
    assert ", model sentiment, 1 to 2 workers, " in ended.out


def test_summary_marks_models_without_a_pipeline(run: Run, write_config: WriteConfig) -> None:
    ended = run("check", "-c", write_config("pipelines:", "  spare: {source: x, replicas: {max: 3}}\npipelines:"))
    assert ended.code == 0
    assert "model spare: x, 1 to 3 replicas, device auto (not started: no pipeline uses it)" in ended.out
    assert "`--connect` also checks brokers" in ended.out


def test_summary_names_routes_and_review(run: Run, write_config: WriteConfig) -> None:
    more = "model: sentiment, review: unsure, route: [{label: A, topic: out}, {label: B, topic: bad}, {topic: null}]}"
    ended = run("check", "-c", write_config("model: sentiment}", more))
    assert "in -> out, routed results to bad, review to unsure, dead letters to dlq, model" in ended.out


def test_finding_names_the_config_file(run: Run, write_config: WriteConfig, found: dict[str, list[Finding]]) -> None:
    fix = "create it with `labelstream topics create -c FILE`"
    found["kafka"] += [Finding("a", fix), Finding("b", fix, logging.INFO)]
    config = write_config()
    ended = run("check", "--connect", "-c", config)
    for line in (ended.out, ended.err):
        assert f"create it with `labelstream topics create -c {config}`" in line


def test_problems_go_to_stderr_and_notes_to_stdout(
    run: Run, write_config: WriteConfig, found: dict[str, list[Finding]]
) -> None:
    found["kafka"] += [Finding("a", "gone"), Finding("b", "compacted", logging.INFO)]
    found["local"] += [Finding("c", "no GPU")]
    found["model"] += [Finding("d", "unreadable\x1b")]
    ended = run("check", "--connect", "-c", write_config())
    assert ended.code == 1
    assert ended.err.splitlines() == [
        "checking brokers, topics and permissions",
        "problem: a: gone",
        "problem: c: no GPU",
        "looking for the models (not loaded, because of the problems above)",
        "problem: d: unreadable\\x1b",
    ]
    assert "note: b: compacted" in ended.out
    found["kafka"].clear()
    ended = run("check", "--connect", "--cluster", "-c", write_config())  # without this machine's
    assert (ended.code, ended.err.splitlines()[2:]) == (1, ["problem: d: unreadable\\x1b"])


def test_warnings_exit_with_0(run: Run, write_config: WriteConfig, found: dict[str, list[Finding]]) -> None:
    found["kafka"].append(Finding("kafka.security.protocol", "in the clear", logging.WARNING))
    ended = run("check", "--connect", "-c", write_config())
    assert (ended.code, ended.err) == (0, "checking brokers, topics and permissions\nloading the models\n")
    assert "warning: kafka.security.protocol: in the clear" in ended.out
    assert ended.out.endswith("The config is valid, and everything it names was found.\n")
