"""A run's folder and what stands in it: for its own user, and for nobody else."""

import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from labelstream.deploy.cluster import run_folder
from labelstream.workers.errors import StartError
from tests.support.run_notes import note_run, run_note

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="root alone can give files away")
NOBODY = 65534


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(run_folder, "places", lambda: [tmp_path])
    monkeypatch.setattr(run_folder, "MAX_PLACE_BYTES", 1_000)
    return tmp_path


@pytest.fixture
def address() -> Iterator[str]:
    """Of somebody who listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_folder_and_token_are_private_under_any_umask(address: str) -> None:
    before = os.umask(0)
    try:
        folder = note_run(address)
    finally:
        os.umask(before)
    assert mode(folder) == 0o700
    assert {path.name: mode(path) for path in folder.iterdir()} == {"token": 0o600, "run.json": 0o600}
    [run] = run_folder.noted_runs()
    assert run == (folder, run_note(address), (folder / "token").read_text())
    assert run.address == address
    assert len(run.token) == 64


def test_every_run_has_a_token_of_its_own() -> None:
    tokens = {(run_folder.make_run_folder() / "token").read_text() for _ in range(3)}
    assert len(tokens) == 3


def test_newest_note_of_a_run_counts_and_runs_are_in_order(address: str) -> None:
    folder = note_run(address, started_at=2.0)
    note_run(address, started_at=1.0)
    run_folder.write_note(folder, run_note(address, started_at=2.0, config="/new.yaml"))
    assert [run.note.config for run in run_folder.noted_runs()] == ["/etc/labelstream.yaml", "/new.yaml"]
    assert {path.name for path in folder.iterdir()} == {"token", "run.json"}


def test_run_that_is_starting_or_gone_is_none(address: str) -> None:
    run_folder.make_run_folder()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gone = f"127.0.0.1:{listener.getsockname()[1]}"
    note_run(gone)
    note_run("")
    assert run_folder.noted_runs() == []


def test_run_without_an_address_is_starting_while_it_lives() -> None:
    now = time.time()
    note_run("", pid=os.getpid(), started_at=now)
    note_run("", pid=os.getpid(), started_at=now - run_folder.STARTING_S - 1)
    note_run("", pid=2**22 + 1, started_at=now)  # more than Linux gives
    assert [note.started_at for note in run_folder.starting_runs()] == [now]
    assert run_folder.noted_runs() == []


@as_root
def test_what_somebody_else_has_made_is_no_run(address: str) -> None:
    theirs = note_run(address)
    os.chown(theirs, NOBODY, NOBODY)
    mixed = note_run(address)
    os.chown(mixed / "run.json", NOBODY, NOBODY)
    assert run_folder.noted_runs() == []


@pytest.mark.parametrize("what", ["folder", "run.json", "token"])
def test_links_are_not_followed(place: Path, address: str, what: str) -> None:
    folder = note_run(address)
    path = folder if what == "folder" else folder / what
    hidden = place / "elsewhere"
    path.rename(hidden)
    path.symlink_to(hidden)
    assert run_folder.noted_runs() == []


def test_open_folder_is_no_run(address: str) -> None:
    folder = note_run(address)
    folder.chmod(0o755)
    assert run_folder.noted_runs() == []


@pytest.mark.parametrize("content", [b"\x7fELF\xff\xfe", b"", b"{}", b"127.0.0.1:port", b"x" * 10_000])
def test_any_content_of_a_note_is_survived(content: bytes) -> None:
    (run_folder.make_run_folder() / "run.json").write_bytes(content)
    assert run_folder.noted_runs() == []


def test_note_that_is_a_pipe_keeps_nobody_waiting() -> None:
    os.mkfifo(run_folder.make_run_folder() / "run.json")
    assert run_folder.noted_runs() == []


def test_first_place_that_will_do_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run_folder, "places", lambda: [tmp_path / "missing", tmp_path])
    assert run_folder.make_run_folder().parent == tmp_path


def test_no_place_names_each_with_its_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    real = os.statvfs

    def statvfs(path: Path) -> os.statvfs_result:
        found = list(real(path))
        found[4] = 0  # f_bavail
        return os.statvfs_result(found)

    monkeypatch.setattr(os, "statvfs", statvfs)
    monkeypatch.setattr(run_folder, "places", lambda: [tmp_path / "missing", full])
    with pytest.raises(StartError) as refused:
        run_folder.make_run_folder()
    assert f"{tmp_path / 'missing'} (No such file or directory), {full} (0 MiB free)" in str(refused.value)
    assert "64 MiB" in str(refused.value)
    assert list(full.iterdir()) == []


def test_places_are_tmp_and_what_the_user_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("TMPDIR", "/scratch")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/tmp")
    assert run_folder.places() == [Path("/tmp"), Path("/scratch")]


def test_place_is_short_enough_for_sockets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run_folder.unfit(tmp_path) is None
    monkeypatch.setattr(run_folder, "MAX_PLACE_BYTES", 18)
    assert run_folder.unfit(tmp_path) == f"a path of {len(str(tmp_path))} characters"
    place = Path("/" + "x" * (run_folder.MAX_PLACE_BYTES - 1))
    session = "session_2026-11-28_09-00-45_123456_4194304"
    assert len(str(place / "labelstream-abcdefgh/ray" / session / "sockets/plasma_store")) <= 107


def test_ray_here_gets_folder_token_and_loopback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = {"RAY_ADDRESS": "somebody:6379", "RAY_AUTH_TOKEN": "old", "RAY_AUTH_MODE": "disabled", "HOME": "/root"}
    monkeypatch.setattr(os, "environ", found)
    run_folder.use_run_folder(tmp_path)
    assert found == {
        "HOME": "/root",
        "RAY_TMPDIR": str(tmp_path),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token"),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "AUTOSCALER_METRIC_PORT": "-1",
        "DASHBOARD_METRIC_PORT": "-1",
    }


def test_token_of_a_run_is_used_to_join(monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, str] = {}
    monkeypatch.setattr(os, "environ", found)
    run_folder.use_run(run_folder.Run(Path("/tmp/x"), run_note("127.0.0.1:6379"), "secret"))
    assert (found["RAY_AUTH_MODE"], found["RAY_AUTH_TOKEN"]) == ("token", "secret")
    assert found["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"


@pytest.mark.parametrize(
    ("address", "here"),
    [("127.0.0.1:1", True), ("localhost:1", True), ("[::1]:1", True), ("head:1", False), ("auto", False)],
)
def test_loopback_is_not_the_machines_address(monkeypatch: pytest.MonkeyPatch, address: str, here: bool) -> None:
    found: dict[str, str] = {}
    monkeypatch.setattr(os, "environ", found)
    run_folder.use_address(address)
    assert ("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" in found) is here


def test_rays_choice_is_what_the_user_set_or_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    note = tmp_path / "ray_current_cluster"
    monkeypatch.setattr(run_folder, "RAYS_NOTE", note)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(StartError, match="you run no Ray on this machine"):
        run_folder.rays_choice()
    note.write_text("10.0.0.1:6379\n")
    note.chmod(0o664)
    assert run_folder.rays_choice() == "10.0.0.1:6379"
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert run_folder.rays_choice() == "head:6379"


@as_root
def test_rays_note_of_somebody_else_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    note = tmp_path / "ray_current_cluster"
    note.write_text("evil:6379")
    os.chown(note, NOBODY, NOBODY)
    monkeypatch.setattr(run_folder, "RAYS_NOTE", note)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(StartError, match="belongs to another user"):
        run_folder.rays_choice()
