"""Who answers at an address, and whether we may join."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
import ray
from ray.core.generated import gcs_service_pb2
from ray.exceptions import RayError

from labelstream.deploy.cluster import join as module
from labelstream.deploy.cluster.join import check_installed, join
from labelstream.workers.errors import StartError


@pytest.fixture(autouse=True)
def joined(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that Ray was told; no mode of its own, and all that is changed put back."""
    told: list[str] = []
    monkeypatch.setattr(ray, "init", lambda address, **options: told.append(address))
    for name in ("RAY_AUTH_MODE", "RAY_USE_TLS", "no_grpc_proxy", "no_proxy", "NO_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "")
    return told


MESSAGES: Any = gcs_service_pb2


class Gcs(grpc.GenericRpcHandler):
    """Answers as Ray's head does, with this version, or with an error."""

    def __init__(self, version: str = ray.__version__, code: Any = None) -> None:
        self._reply, self._code = MESSAGES.CheckAliveReply(ray_version=version).SerializeToString(), code
        self.metadata: list[Any] = []

    def service(self, handler_call_details: Any) -> Any:
        details = handler_call_details
        if details.method != "/ray.rpc.NodeInfoGcsService/CheckAlive":
            return None
        self.metadata += [pair[0] for pair in details.invocation_metadata]
        return grpc.unary_unary_rpc_method_handler(self._answer)

    def _answer(self, request: bytes, context: Any) -> bytes:
        if self._code is not None:
            context.abort(self._code, "as told")
        return self._reply


@contextmanager
def head(*handlers: Any) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(1), handlers=list(handlers))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def refused(address: str) -> str:
    with pytest.raises(StartError) as found:
        join(address)
    return str(found.value)


def test_ray_that_asks_for_the_token_is_joined(joined: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    gcs = Gcs(code=grpc.StatusCode.UNAUTHENTICATED)
    with head(gcs) as address:
        assert "asks for a token; set RAY_AUTH_MODE=token" in refused(address)
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
        join(address)
    assert joined == [address]
    assert "authorization" not in gcs.metadata, "whoever answers does not get our token for it"


def test_ray_without_a_token_is_joined_only_when_told(joined: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with head(Gcs()) as address:
        assert "asks for no token" in refused(address)
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        assert "set RAY_AUTH_MODE=disabled here" in refused(address)
        assert joined == []
        monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
        join(address)
    assert joined == [address]


def test_proxy_is_not_asked(joined: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with head(Gcs()) as address:
        join(address)
    assert joined == [address]


def test_other_version_of_ray_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with head(Gcs(version="2.9.1")) as address:
        assert f"is version 2.9.1, this machine has {ray.__version__}; install ray==2.9.1 here" in refused(address)


def test_what_is_no_ray_is_said_so() -> None:
    with head() as address:
        assert refused(address) == f"the service at {address} is not Ray (UNIMPLEMENTED); check the port"


def test_nobody_there_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no Ray cluster answers at 127.0.0.1:1: " in refused("127.0.0.1:1")
    assert "no Ray cluster answers at ray://127.0.0.1:1: Connection refused" in refused("ray://127.0.0.1:1")
    monkeypatch.setenv("RAY_USE_TLS", "1")
    assert "no Ray cluster answers at 127.0.0.1:1: Connection refused" in refused("127.0.0.1:1")


@pytest.mark.parametrize("address", ["", "host", "host:port", ":6379"])
def test_what_is_no_address_is_said_so(address: str) -> None:
    assert refused(address) == f"--address: {address!r} is not HOST:PORT; give the address and port of Ray's head"


def test_other_python_is_told_with_both_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `ray.init` says it."""

    def init(**options: Any) -> None:
        raise RuntimeError(
            "Version mismatch: The cluster was started with:\n    Ray: 2.60.0\n    Python: 3.11.7\n"
            "This process on node 10.0.0.1 was started with:\n    Ray: 2.60.0\n    Python: 3.12.1\n"
        )

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with head(Gcs()) as address:
        text = refused(address)
    assert f"the Ray at {address} does not match this machine: Version mismatch: The cluster was started with: " in text
    assert "Python: 3.11.7 This process on node 10.0.0.1 was started with: Ray: 2.60.0 Python: 3.12.1" in text


def test_token_that_is_wrong_is_what_ray_says(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**options: Any) -> None:
        raise ConnectionError('Traceback\n  File "x.py", line 1\nthe authentication token\nis invalid')

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    with head(Gcs(code=grpc.StatusCode.UNAUTHENTICATED)) as address:
        assert refused(address) == f"the Ray at {address} refuses this machine: the authentication token is invalid"


def test_auto_is_rays_choice(joined: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with head(Gcs()) as address:
        monkeypatch.setenv("RAY_ADDRESS", address)
        join("auto")
    assert joined == [address]


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """nodes(a="0.1.0", b=None): what is installed on each; None: the node is going."""

    def be(**versions: str | None) -> None:
        found = [{"Alive": True, "NodeID": name, "NodeManagerAddress": f"{name}.host"} for name in versions]
        fake = SimpleNamespace(
            __version__="0",
            nodes=lambda: [*found, {"Alive": False, "NodeID": "dead"}],
            wait=lambda asked, num_returns, timeout: (asked, []),
            get=lambda node: _answer(versions[node]),
        )
        monkeypatch.setattr(module, "ray", fake)
        monkeypatch.setattr(module, "_ask_version", lambda node: node)

    return be


def _answer(version: str | None) -> str:
    if version is None:
        raise RayError("gone")
    return version


def test_same_labelstream_everywhere_is_right(nodes: Callable[..., None]) -> None:
    nodes(a="0.1.0", b=None)
    check_installed()


@pytest.mark.parametrize(("theirs", "text"), [("9.9.9", "has Labelstream 9.9.9"), ("", "has no Labelstream")])
def test_node_with_another_labelstream_is_named(nodes: Callable[..., None], theirs: str, text: str) -> None:
    nodes(a="0.1.0", b=theirs)
    with pytest.raises(StartError, match=rf"node b\.host {text}, this machine 0\.1\.0"):
        check_installed()
