"""Which Ray a command means, and a command that goes on in a session of its own."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from labelstream.deploy.cli.common.process_group import address_of
from labelstream.deploy.cluster import run_folder
from labelstream.workers.errors import ConfigError, StartError
from tests.support.run_notes import note_run


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where runs have their folders."""
    monkeypatch.setattr(run_folder, "places", lambda: [tmp_path])
    monkeypatch.setattr(run_folder, "MAX_PLACE_BYTES", 1_000)
    monkeypatch.setattr(os, "environ", {**os.environ, "RAY_AUTH_TOKEN": ""})
    return tmp_path


@contextmanager
def noted_ray() -> Iterator[str]:
    """Somebody who listens on loopback, and their address, which is noted. The note outlives them."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        note_run(address)
        yield address


def test_an_address_is_taken_as_it_is() -> None:
    assert address_of("host:6379") == "host:6379"
    assert address_of("auto") == "auto"
    assert os.environ["RAY_AUTH_TOKEN"] == ""


def test_the_run_of_this_machine_comes_with_its_token(place: Path) -> None:
    run_folder.make_run_folder()  # of one that is starting
    with noted_ray() as one:
        assert address_of(None) == one
        [noted] = place.glob("*/run.json")
        assert os.environ["RAY_AUTH_TOKEN"] == (noted.parent / "token").read_text()
        assert os.environ["RAY_AUTH_MODE"] == "token"


def test_two_runs_are_named() -> None:
    with noted_ray() as one, noted_ray() as two:
        with pytest.raises(ConfigError, match="more than one `labelstream run`") as refused:
            address_of(None)
        assert one in str(refused.value)
        assert two in str(refused.value)


def test_no_run_of_ours_is_nobody_elses() -> None:
    os.environ["RAY_ADDRESS"] = "somebody:6379"
    with noted_ray():
        pass
    with pytest.raises(StartError, match="no `labelstream run` of yours is on this machine"):
        address_of(None)


SCRIPT = """
import os, signal, sys, typer
from labelstream.deploy.cli.common.process_group import run_in_new_session
try:
    folder = run_in_new_session()
except typer.Exit as ended:
    sys.exit(ended.exit_code)
print(os.getsid(0) == os.getpid(), os.environ["RAY_TMPDIR"] == str(folder), folder, flush=True)
if sys.argv[1:]:
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(7)
"""


@pytest.mark.parametrize(("arguments", "code"), [((), 7), (("killed",), 128 + signal.SIGKILL)])
def test_session_of_its_own_ends_with_its_folder(arguments: tuple[str, ...], code: int) -> None:
    ended = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, timeout=60)
    leads, told, folder = ended.stdout.split()
    assert (leads, told) == ("True", "True")
    assert not Path(folder).exists()
    assert ended.returncode == code
