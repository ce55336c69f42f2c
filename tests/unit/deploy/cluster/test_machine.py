"""What is said of a machine, where it has enough and where it has not."""

import logging
import os
import resource
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labelstream.deploy.cluster import machine
from labelstream.deploy.cluster.machine import MIB, machine_findings, require_machine
from labelstream.deploy.cluster.run_folder import MIN_FREE_BYTES, Run
from labelstream.workers.errors import StartError
from labelstream.workers.stream.broker.finding import Finding
from tests.support.run_notes import run_note

GIB = 1 << 30


@pytest.fixture(autouse=True)
def good_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One on which everything is well, whatever this one is like."""
    monkeypatch.setattr(machine, "places", lambda: [tmp_path])
    monkeypatch.setattr(machine, "unfit", lambda place, needed=MIN_FREE_BYTES: None)
    monkeypatch.setattr(machine, "no_room", lambda folder: None)
    monkeypatch.setattr(machine, "noted_runs", lambda: [])
    monkeypatch.setattr(machine, "_free", lambda folder: 10 * GIB)
    monkeypatch.setattr(machine, "MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    monkeypatch.setattr(machine, "GPUS", tmp_path / "gpus")
    (tmp_path / "meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable:   {8 * GIB >> 10} kB\n")
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(encoding="utf-8"))
    monkeypatch.setattr(resource, "getrlimit", lambda what: (65_536, 65_536))
    for name in machine.PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def found(key: str, settings: Any = None) -> Finding:
    [finding] = [finding for finding in machine_findings(settings) if finding.key == key]
    return finding


def is_ok(key: str, text: str) -> None:
    finding = found(key)
    assert (finding.level, text in finding.text) == (logging.INFO, True), finding


def warns(key: str, *parts: str, level: int = logging.WARNING) -> None:
    finding = found(key)
    assert finding.level == level, finding
    assert [part for part in parts if part not in finding.text] == []


def test_good_machine_is_ok_in_everything() -> None:
    findings = machine_findings()
    assert [finding for finding in findings if finding.level != logging.INFO] == []
    assert len({finding.key for finding in findings}) == len(findings) == 18
    require_machine()


def test_versions_are_those_of_the_packages() -> None:
    is_ok("labelstream", "0.")
    is_ok("python", sys.executable)
    assert machine._version("no-such-package") == "not installed"


def test_little_memory_is_warned_of(tmp_path: Path) -> None:
    is_ok("memory", "8.0 GiB free")
    (tmp_path / "memory.max").write_text(str(3 * GIB))
    (tmp_path / "memory.current").write_text(str(2 * GIB))
    warns("memory", "1.0 GiB free", "2.0 GiB", "raise the container's limit")
    (tmp_path / "memory.max").write_text("max")
    is_ok("memory", "8.0 GiB free")
    (tmp_path / "meminfo").unlink()
    is_ok("memory", "unknown")


def test_small_shared_memory_is_a_problem_without_room_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_free", lambda folder: 64 * MIB)
    warns("shared memory", "64 MiB free in /dev/shm", "190 MiB", "files on disk", "--shm-size=512m")
    asked: list[int] = []

    def unfit(place: Path, needed: int = MIN_FREE_BYTES) -> str | None:
        asked.append(needed)
        return None if needed <= 100 * MIB else "100 MiB free"

    monkeypatch.setattr(machine, "unfit", unfit)
    warns("shared memory", "64 MiB free", "--shm-size=512m", level=logging.CRITICAL)
    assert max(asked) == MIN_FREE_BYTES + machine.OBJECT_STORE_BYTES


@pytest.mark.parametrize(
    ("hard", "level"), [(64, logging.CRITICAL), (256, logging.WARNING), (1_024, logging.INFO), (-1, logging.INFO)]
)
def test_few_open_files_are_told(monkeypatch: pytest.MonkeyPatch, hard: int, level: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (hard, hard))
    finding = found("open files")
    assert finding.level == level
    assert ("ulimit -Hn" in finding.text) is (level != logging.INFO)


@pytest.mark.parametrize(("user", "level"), [(1_000, logging.WARNING), (0, logging.INFO)])
def test_few_processes_are_warned_of(monkeypatch: pytest.MonkeyPatch, user: int, level: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (200, 65_536))
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert found("processes").level == level


def test_no_place_for_the_folder_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "unfit", lambda place, needed=0: "read-only")
    warns("folder", f"{tmp_path} (read-only)", "TMPDIR", level=logging.CRITICAL)


def test_loopback_that_is_down_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(address: tuple[str, int]) -> None:
        raise OSError(99, "Cannot assign requested address")

    monkeypatch.setattr(socket, "create_server", refuse)
    warns("ports", "Cannot assign requested address", "bring the loopback interface up", level=logging.CRITICAL)


def test_output_that_is_not_utf8_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(encoding="ANSI_X3.4-1968"))
    warns("output", "ANSI_X3.4-1968", "LC_ALL=C.UTF-8")


def test_proxies_are_named_without_what_they_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://user:hush@proxy")
    monkeypatch.setenv("ALL_PROXY", "socks5://user:hush@proxy")
    is_ok("proxies", "http_proxy, ALL_PROXY: used for downloads from the hub only")
    assert "hush" not in found("proxies").text


def test_runs_and_foreign_addresses_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    is_ok("runs", "no run of yours on this machine")
    monkeypatch.setattr(machine, "noted_runs", lambda: [Run(Path(), run_note("127.0.0.1:1"), "hush")])
    monkeypatch.setenv("RAY_ADDRESS", "somebody:6379")
    is_ok(
        "runs",
        "yours on this machine: feedback at 127.0.0.1:1; RAY_ADDRESS is set and used for --address auto only",
    )


def test_gpus_are_those_of_the_driver(tmp_path: Path) -> None:
    is_ok("GPUs", "none")
    for name in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / "gpus" / name).mkdir(parents=True)
    is_ok("GPUs", "2 reported by NVIDIA's driver")


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Finding]:
    """cache("owner/model", "./folder"): what is said of a cache that cannot be written, for these sources."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "hub" / "models--owner--kept").mkdir(parents=True)
    monkeypatch.setattr(machine, "no_room", lambda folder: "not writable")

    def call(*sources: str) -> Finding:
        models = {str(number): SimpleNamespace(source=source) for number, source in enumerate(sources)}
        return found("model cache", SimpleNamespace(models=models) if sources else None)

    return call


def test_cache_that_cannot_be_written_stops_a_download(cache: Callable[..., Finding]) -> None:
    assert cache().level == cache("./folder").level == cache("owner/kept").level == logging.WARNING
    finding = cache("./folder", "owner/model")
    assert finding.level == logging.CRITICAL
    assert "not cached: owner/model" in finding.text
    assert "set HF_HOME" in finding.text


def test_problems_come_together_before_ray_starts(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(
        machine,
        "machine_findings",
        lambda: [
            Finding("a", "fine", logging.INFO),
            Finding("b", "little", logging.WARNING),
            Finding("c", "none: get some"),
            Finding("d", "down: bring it up"),
        ],
    )
    with pytest.raises(StartError, match=r"^c: none: get some; d: down: bring it up$"):
        require_machine()
    assert [record.getMessage() for record in caplog.records] == ["b: little"]


def test_places_are_looked_at_as_they_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    assert machine._free(tmp_path) > 0
    assert machine._free(tmp_path / "missing") == 0
    assert machine._nearest(tmp_path / "not" / "there") == tmp_path
