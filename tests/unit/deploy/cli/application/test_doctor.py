"""The output and exit code of `labelstream doctor`."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from labelstream.deploy.cli.application import doctor
from labelstream.deploy.cluster import machine
from labelstream.workers.stream.broker.finding import Finding
from tests.unit.deploy.cli.conftest import Run

OK = Finding("memory", "8.0 GiB free", logging.INFO)


@pytest.fixture
def has(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """has(finding, ...): the findings on this machine; the returned list holds the settings of each call."""

    def be(*findings: Finding) -> list[Any]:
        asked: list[Any] = []
        monkeypatch.setattr(machine, "machine_findings", lambda settings: asked.append(settings) or list(findings))
        return asked

    return be


def test_good_machine_exits_with_0(run: Run, has: Callable[..., list[Any]]) -> None:
    assert has(OK) == []
    ended = run("doctor")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0] == "ok       memory         8.0 GiB free"
    assert [line.split()[0] for line in lines[1:-1]] == ["ok", "ok"]
    assert lines[-1] == "`labelstream run` can start here."


def test_warning_exits_with_0(run: Run, has: Callable[..., list[Any]]) -> None:
    has(Finding("output", "ascii", logging.WARNING))
    ended = run("doctor")
    assert (ended.code, ended.out.splitlines()[0]) == (0, "warning  output         ascii")


def test_problem_exits_with_1(run: Run, has: Callable[..., list[Any]]) -> None:
    has(OK, Finding("folder", "no place\x1b[2J"))
    ended = run("doctor")
    assert ended.code == 1
    assert "problem  folder         no place\\x1b[2J" in ended.out
    assert ended.out.endswith("1 problem: `labelstream run` cannot start here.\n")


def test_config_is_passed_to_machine_findings(
    run: Run, has: Callable[..., list[Any]], write_config: Callable[..., str]
) -> None:
    asked = has(OK)
    assert run("doctor", "-c", write_config()).code == 0
    assert [list(settings.models) for settings in asked] == [["sentiment"]]


def test_gpus_invisible_to_torch_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "gpus", lambda: 2)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: "H100")
    finding = doctor._torch()
    assert finding.level == logging.WARNING
    assert finding.text.startswith("torch sees 1 of 2; ")
    monkeypatch.setattr(machine, "gpus", lambda: 1)
    assert (doctor._torch().level, doctor._torch().text) == (logging.INFO, "H100")


def test_cache_size_counts_each_file_once(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "weights").write_bytes(bytes(3 << 20))
    (tmp_path / "snapshot").symlink_to(tmp_path / "blobs" / "weights")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    assert doctor._mib(tmp_path) == 3
    assert doctor._mib(tmp_path / "none") == 0
