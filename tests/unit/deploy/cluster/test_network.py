"""What the environment says of proxies and of loopback, and where Serve's own server listens."""

import importlib
import os
import socket
import subprocess
import sys
from typing import Any

import pytest
import ray

from labelstream.deploy.cluster import network


def test_proxies_stay_for_the_outside_alone() -> None:
    environment = {"http_proxy": "http://proxy:3128"}
    network.bypass_proxies(environment)
    assert environment == {
        "http_proxy": "http://proxy:3128",
        "no_grpc_proxy": "0.0.0.0/0,::/0",
        "no_proxy": "localhost,127.0.0.1,::1",
        "NO_PROXY": "localhost,127.0.0.1,::1",
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"no_proxy": "corp, ::1"}, "corp,::1,localhost,127.0.0.1"),
        ({"NO_PROXY": "corp"}, "corp,localhost,127.0.0.1,::1"),
        ({"no_proxy": "lower", "NO_PROXY": "upper"}, "lower,localhost,127.0.0.1,::1"),
    ],
)
def test_hosts_without_a_proxy_stay_so(before: dict[str, str], after: str) -> None:
    environment = dict(before)
    network.bypass_proxies(environment)
    network.bypass_proxies(environment)
    assert environment["no_proxy"] == environment["NO_PROXY"] == after


GRPC = """
import sys
from concurrent.futures import ThreadPoolExecutor
import grpc
from labelstream.deploy.cluster.network import bypass_proxies
if sys.argv[2:]:
    bypass_proxies()
server = grpc.server(ThreadPoolExecutor(1))
port = server.add_insecure_port(sys.argv[1])
server.start()
try:
    grpc.insecure_channel(sys.argv[1].rpartition(":")[0] + f":{port}").unary_unary("/any/method")(b"", timeout=20)
except grpc.RpcError as error:
    print(error.code().name)
"""


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0"])
@pytest.mark.parametrize("name", ["http_proxy", "https_proxy", "grpc_proxy"])
def test_grpc_goes_past_a_proxy(address: str, name: str) -> None:
    def code(*arguments: str) -> str:
        environment = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
        command = [sys.executable, "-c", GRPC, address, *arguments]
        environment[name] = "http://127.0.0.1:9"
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60).stdout.strip()

    assert code() == "UNAVAILABLE"
    assert code("past") == "UNIMPLEMENTED"


@pytest.mark.parametrize(
    ("node", "address"),
    [("127.0.0.1", "127.0.0.1:0"), ("::1", "[::1]:0"), ("10.0.0.7", "[::]:0"), ("fe80::7", "[::]:0")],
)
def test_serve_listens_where_its_node_does(monkeypatch: pytest.MonkeyPatch, node: str, address: str) -> None:
    added: list[Any] = []
    monkeypatch.setattr(ray.util, "get_node_ip_address", lambda: node)
    assert network._listen(lambda server, where: added.append((server, where)) or 4711, "server", "[::]:0") == 4711
    assert added == [("server", address)]


def test_serve_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    replica: Any = importlib.import_module("ray.serve._private.replica")

    def add_port(server: Any, address: str) -> int:
        return 0

    monkeypatch.setattr(replica, "add_port_to_grpc_server", add_port)
    for name in ("no_grpc_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")
    network.set_up_replica()
    network.set_up_replica()
    assert replica.add_port_to_grpc_server.args == (add_port,)


def test_taken_port_is_told_from_a_wrong_host() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        error = network.listen_error("127.0.0.1", port)
    assert error is not None
    assert network.is_of_port(error)
    assert network.listen_error("127.0.0.1", port) is None
    wrong = network.listen_error("192.0.2.1", port)  # RFC 5737: no machine has this address
    assert wrong is not None
    assert not network.is_of_port(wrong)
