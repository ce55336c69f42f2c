"""A run on a machine with a dead proxy in the environment, and with other users: what works, and who reaches what."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import grpc
import pytest
import yaml

from labelstream.deploy.cli.common.arguments import DEMO_MODEL
from labelstream.deploy.cli.topics.in_memory_broker import InMemoryBroker
from tests.support.command import LABELSTREAM
from tests.support.listeners import listeners_of
from tests.support.running_command import RunningCommand
from tests.support.streams import messages, produce, read_ids

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]
NOWHERE = "http://127.0.0.1:9"
PROXIES = {
    name: NOWHERE
    for lower in ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy")
    for name in (lower, lower.upper())
}
SECRET = "hf_of-one-run"
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
as_nobody = pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become somebody else")


@pytest.fixture(scope="module")
def broker() -> Iterator[InMemoryBroker]:
    broker = InMemoryBroker()
    yield broker
    broker.close()


@pytest.fixture(scope="module")
def run(broker: InMemoryBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCommand]:
    config = tmp_path_factory.mktemp("a folder with spaces") / "labelstream.yaml"
    tree = {
        "kafka": {"bootstrap_servers": broker.bootstrap},
        "models": {"m": {"source": str(DEMO_MODEL)}},
        "pipelines": {"p": {"input": "in", "output": "out", "dead_letter": "dlq", "model": "m"}},
    }
    config.write_text(yaml.safe_dump(tree))
    elsewhere = {"RAY_ADDRESS": "127.0.0.1:9", "LC_ALL": "C", "LANG": "C"}
    running = RunningCommand("run", "-c", str(config), environment={**PROXIES, **elsewhere, "HF_TOKEN": SECRET})
    running.until("everything runs", 300)
    yield running
    running.process.send_signal(signal.SIGTERM)
    assert running.wait() == 0, running.output
    running.assert_nothing_is_left()


def test_messages_pass_dead_proxies(run: RunningCommand, broker: InMemoryBroker) -> None:
    produce(broker.bootstrap, "in", messages(20))
    assert sorted(read_ids(broker.bootstrap, "out", 20)) == list(range(20))


def test_status_passes_dead_proxies_and_finds_its_own_run(run: RunningCommand) -> None:
    ended = call([*LABELSTREAM, "status", "--wait", "60"], **PROXIES, RAY_ADDRESS="127.0.0.1:9", LC_ALL="C")
    assert ended.returncode == 0, ended.stderr
    assert "pipeline p: " in ended.stdout


def test_everything_listens_on_loopback(run: RunningCommand) -> None:
    found = listeners_of(run.processes())
    assert len(found) > 5
    assert [listener for listener in found if not ip_address(listener.host).is_loopback] == []


def test_every_port_of_grpc_asks_for_the_token(run: RunningCommand) -> None:
    codes = set()
    for listener in listeners_of(run.processes()):
        with grpc.insecure_channel(f"127.0.0.1:{listener.port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
            try:
                channel.unary_unary("/ray.rpc.NodeInfoGcsService/CheckAlive")(b"", timeout=5)
                codes.add("OK")
            except grpc.RpcError as error:
                codes.add(error.code().name)  # type: ignore[attr-defined]
    assert "UNAUTHENTICATED" in codes
    assert "OK" not in codes


def test_processes_of_ray_have_no_secret_in_their_environment(run: RunningCommand) -> None:
    # All but the command itself and its child.
    rays = {process: command for process, command in run.processes().items() if "labelstream.deploy.cli" not in command}
    assert any("ServeReplica" in command for command in rays.values())
    for process, command in rays.items():
        assert SECRET.encode() not in Path(f"/proc/{process}/environ").read_bytes(), command
    (folder,) = run.folders
    assert (Path(folder) / "hf_token_path").stat().st_mode & 0o777 == 0o600


@as_nobody
def test_another_user_finds_no_run(run: RunningCommand) -> None:
    ended = call([*NOBODY, *LABELSTREAM, "status"], HOME="/nonexistent")
    assert ended.returncode == 1
    assert "no `labelstream run` of yours is on this machine" in ended.stderr


@as_nobody
def test_another_user_reads_nothing_of_a_run(run: RunningCommand) -> None:
    run.processes()
    [folder] = run.folders
    script = "import os, sys; print(os.listdir(sys.argv[1]))"
    ended = call([*NOBODY, sys.executable, "-c", script, folder])
    assert ended.stdout == ""
    assert "PermissionError" in ended.stderr
    assert (Path(folder) / "token").stat().st_mode & 0o777 == 0o600


@as_nobody
def test_another_user_cannot_join(run: RunningCommand) -> None:
    run.processes()
    [folder] = run.folders
    address = (Path(folder) / "address").read_text()
    ended = call([*NOBODY, *LABELSTREAM, "status", "--address", address], HOME="/nonexistent")
    assert ended.returncode == 1
    assert "asks for a token" in ended.stderr


def call(command: list[str], **environment: str) -> "subprocess.CompletedProcess[str]":
    known = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return subprocess.run(command, env={**known, **environment}, capture_output=True, text=True, timeout=180, cwd="/")
