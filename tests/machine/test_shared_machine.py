"""A run on a machine with a dead proxy in the environment and with other users: what works, and who has access."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import grpc
import pytest
import yaml

from labelstream.deploy.cli.common.arguments import DEMO_MODEL
from labelstream.deploy.cli.topics.in_memory_broker import InMemoryBroker
from labelstream.deploy.cluster.run_note import RunNote
from tests.support.command import LABELSTREAM
from tests.support.listeners import listeners_of
from tests.support.running_command import RunningCommand
from tests.support.streams import messages, produce, read_ids, wait_until

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]
NOWHERE = "http://127.0.0.1:9"
PROXIES = {
    name: NOWHERE
    for lower in ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy")
    for name in (lower, lower.upper())
}
SECRET = "hf_of-one-run"
METHODS = {
    "the head": "/ray.rpc.NodeInfoGcsService/CheckAlive",
    "the raylet": "/ray.rpc.NodeManagerService/RequestWorkerLease",
    "its objects": "/ray.rpc.ObjectManagerService/Pull",
    "each worker": "/ray.rpc.CoreWorkerService/PushTask",
    "the agent of the metrics": "/ray.rpc.ReporterService/GetTraceback",
    "each replica": "/ray.serve.ASGIService/HandleRequest",
}
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
# Only root can become another user, and that user cannot run every Python.
CAN = (
    os.geteuid() == 0
    and subprocess.run([*NOBODY, *LABELSTREAM, "--version"], cwd="/", capture_output=True).returncode == 0
)
as_nobody = pytest.mark.skipif(not CAN, reason="nobody else can be tried")


@pytest.fixture(scope="module")
def broker() -> Iterator[InMemoryBroker]:
    broker = InMemoryBroker()
    yield broker
    broker.close()


@pytest.fixture(scope="module")
def metrics_port() -> int:
    with socket.create_server(("", 0)) as probe:
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def config(broker: InMemoryBroker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = tmp_path_factory.mktemp("a folder with spaces") / "labelstream.yaml"
    tree = {
        "kafka": {"bootstrap_servers": broker.bootstrap},
        "models": {"m": {"source": str(DEMO_MODEL)}},
        "pipelines": {"p": {"input": "in", "output": "out", "dead_letter": "dlq", "model": "m"}},
    }
    config.write_text(yaml.safe_dump(tree))
    return config


@pytest.fixture(scope="module")
def run(config: Path, metrics_port: int) -> Iterator[RunningCommand]:
    elsewhere = {"RAY_ADDRESS": "127.0.0.1:9", "LC_ALL": "C", "LANG": "C"}
    running = RunningCommand(
        "run",
        "-c",
        str(config),
        "--metrics-port",
        str(metrics_port),
        environment={**PROXIES, **elsewhere, "HF_TOKEN": SECRET},
    )
    running.until("everything runs", 300)
    yield running
    running.process.send_signal(signal.SIGTERM)
    assert running.wait() == 0, running.output
    running.assert_nothing_is_left()


def test_messages_pass_dead_proxies(run: RunningCommand, broker: InMemoryBroker) -> None:
    produce(broker.bootstrap, "in", messages(20))
    assert sorted(read_ids(broker.bootstrap, "out", 20)) == list(range(20))


def test_status_passes_dead_proxies_and_finds_its_own_run(run: RunningCommand, config: Path, tmp_path: Path) -> None:
    for file in (config, shutil.copy(config, tmp_path)):
        status = [*LABELSTREAM, "status", "p", "-c", str(file), "--wait", "60"]
        ended = call(status, **PROXIES, RAY_ADDRESS="127.0.0.1:9", LC_ALL="C")
        assert ended.returncode == 0, ended.stderr
        assert "pipeline p: " in ended.stdout


def test_status_ignores_run_of_other_config(run: RunningCommand, config: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    tree = yaml.safe_load(config.read_text())
    tree["pipelines"]["p"]["group_id"] = "another"
    other.write_text(yaml.safe_dump(tree))
    ended = call([*LABELSTREAM, "resume", "p", "-c", str(other)])
    assert ended.returncode == 1
    assert f"no run of {other} on this machine" in ended.stderr


def test_all_services_listen_on_loopback(run: RunningCommand, metrics_port: int) -> None:
    found = listeners_of(run.processes())
    assert len(found) > 5
    assert metrics_port in {listener.port for listener in found}
    assert [listener for listener in found if not ip_address(listener.host).is_loopback] == []


def test_metrics_port_serves_only_metrics(run: RunningCommand, metrics_port: int) -> None:
    def is_shown() -> bool:
        with DIRECT.open(f"http://127.0.0.1:{metrics_port}/metrics", timeout=30) as answer:
            return b"ray_labelstream_workers" in answer.read()

    wait_until(is_shown, 60, "the metrics")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        DIRECT.open(f"http://127.0.0.1:{metrics_port}/", timeout=30)


@pytest.mark.parametrize("service", METHODS)
def test_every_service_requires_token(run: RunningCommand, service: str) -> None:
    """A port has one or two services, and each knows only its own methods."""
    codes = set[str]()

    def is_there() -> bool:  # one service listens only some time after the run is ready
        codes.update(ask(listener.port, METHODS[service]) for listener in listeners_of(with_children(run.processes())))
        return "UNAUTHENTICATED" in codes

    wait_until(is_there, 60, "the service")
    assert codes <= {"UNAUTHENTICATED", "UNIMPLEMENTED", "UNAVAILABLE"}


def with_children(processes: Iterable[int]) -> set[int]:
    """With child processes: Ray's agents overwrite the environment that marks processes of the run."""
    found = set(processes)
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            found |= {int(path.name)} if parent in found else set()
    return found


def ask(port: int, method: str) -> str:
    """The gRPC status for a call without a token; UNAVAILABLE if the port does not speak gRPC."""
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.unary_unary(method)(b"", timeout=60)
        except grpc.RpcError as error:
            return error.code().name  # type: ignore[attr-defined]
    return "OK"


@as_nobody
def test_other_user_finds_no_run(run: RunningCommand) -> None:
    ended = call([*NOBODY, *LABELSTREAM, "status"], HOME="/nonexistent")
    assert ended.returncode == 1
    assert "no run of yours on this machine" in ended.stderr


@as_nobody
def test_other_user_cannot_read_run(run: RunningCommand) -> None:
    run.processes()
    [folder] = run.folders
    script = "import os, sys; print(os.listdir(sys.argv[1]))"
    ended = call([*NOBODY, sys.executable, "-c", script, folder])
    assert ended.stdout == ""
    assert "PermissionError" in ended.stderr
    assert (Path(folder) / "token").stat().st_mode & 0o777 == 0o600


@as_nobody
def test_other_user_cannot_join_run(run: RunningCommand) -> None:
    run.processes()
    [folder] = run.folders
    address = RunNote.from_json((Path(folder) / "run.json").read_text()).address
    ended = call([*NOBODY, *LABELSTREAM, "status", "--address", address], HOME="/nonexistent")
    assert ended.returncode == 1
    assert "asks for a token" in ended.stderr


def call(command: list[str], **environment: str) -> "subprocess.CompletedProcess[str]":
    known = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return subprocess.run(command, env={**known, **environment}, capture_output=True, text=True, timeout=180, cwd="/")
