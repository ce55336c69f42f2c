"""Joins a running Ray cluster, after asking for its address, its token and its versions."""

import importlib
import importlib.metadata
import os
import socket
from typing import Any

import grpc
import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from labelstream.deploy.cluster.network import bypass_proxies
from labelstream.deploy.cluster.run_folder import rays_choice
from labelstream.deploy.cluster.serve_errors import cause_in
from labelstream.deploy.names import APP
from labelstream.workers.errors import StartError

CONNECT_TIMEOUT_S = 10.0
VERSIONS_S = 10.0
_ALIVE = "/ray.rpc.NodeInfoGcsService/CheckAlive"
_REACH = "check address and port"
_NO_PROXY = [("grpc.enable_http_proxy", 0)]


def join(address: str) -> None:
    """Connect to the Ray cluster at `address`; `auto`: see `rays_choice`.

    Raises StartError within seconds, where `ray.init` would retry for minutes or say nothing: if nothing answers, if
    the versions differ, or if the cluster asks for no token and RAY_AUTH_MODE is not disabled.
    """
    bypass_proxies()
    address = rays_choice() if address == "auto" else address
    _check(address)
    try:
        ray.init(address=address, namespace=APP, configure_logging=False, log_to_driver=False)
    except (ConnectionError, RuntimeError, OSError, ValueError, TimeoutError) as error:
        if "ersion mismatch" in str(error):
            raise StartError(
                f"the Ray at {address} does not match this machine: {' '.join(str(error).split())}"
            ) from None
        raise StartError(f"the Ray at {address} refuses this machine: {cause_in(str(error))}") from None


def check_installed() -> None:
    """Raises StartError if a node of the joined cluster has another version of Labelstream, or none."""
    version, nodes = importlib.metadata.version("labelstream"), [node for node in ray.nodes() if node["Alive"]]
    asked = {_ask_version(node["NodeID"]): node["NodeManagerAddress"] for node in nodes}
    done, _ = ray.wait(list(asked), num_returns=len(asked), timeout=VERSIONS_S)
    for answer in done:
        try:
            found = ray.get(answer)
        except RayError:  # the node is leaving
            continue
        if found != version:
            has = f"has Labelstream {found}" if found else "has no Labelstream"
            raise StartError(f"node {asked[answer]} {has}, this machine {version}; install the same version everywhere")


def _ask_version(node: str) -> Any:
    def version() -> str:  # local, so that it is pickled by value: the node may not have Labelstream
        import importlib.metadata

        try:
            return importlib.metadata.version("labelstream")
        except importlib.metadata.PackageNotFoundError:
            return ""

    strategy = NodeAffinitySchedulingStrategy(node, soft=False)
    return ray.remote(version).options(num_cpus=0, max_retries=0, scheduling_strategy=strategy).remote()


def _check(address: str) -> None:
    """Ask the Ray at `address` who it is, without the token, because anything may answer there. Raises StartError."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise StartError(f"--address: {address!r} is not HOST:PORT; give the address and port of Ray's head")
    mode = os.environ.get("RAY_AUTH_MODE", "").lower()
    if address.startswith("ray://") or os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
        _require_listener(
            address, host, int(port)
        )  # a Ray client server, or TLS certificates that identify the cluster
        return
    try:
        with grpc.insecure_channel(f"{host}:{port}", options=_NO_PROXY) as channel:
            answer = channel.unary_unary(_ALIVE)(b"", timeout=CONNECT_TIMEOUT_S)
    except grpc.RpcError as error:
        _explain(address, error, mode)
    else:
        _check_version(address, answer)
        if mode != "disabled":
            raise StartError(
                f"the Ray at {address} asks for no token, so anybody who reaches it can run code there; start it with "
                "RAY_AUTH_MODE=token, or set RAY_AUTH_MODE=disabled here to use it anyway"
            )


def _explain(address: str, error: Any, mode: str) -> None:
    """Raises StartError, unless the Ray only wants the token that this process has."""
    if error.code() is grpc.StatusCode.UNAUTHENTICATED:
        if mode != "token":
            raise StartError(
                f"the Ray at {address} asks for a token; set RAY_AUTH_MODE=token, with the token in RAY_AUTH_TOKEN, in "
                "the file RAY_AUTH_TOKEN_PATH or in ~/.ray/auth_token"
            )
        return
    if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        raise StartError(f"no Ray cluster answers at {address}: {cause_in(error.details() or '')}; {_REACH}")
    raise StartError(f"the service at {address} is not Ray ({error.code().name}); check the port")


def _check_version(address: str, answer: bytes) -> None:
    messages: Any = importlib.import_module("ray.core.generated.gcs_service_pb2")
    found = messages.CheckAliveReply.FromString(answer).ray_version
    if found != ray.__version__:
        raise StartError(
            f"the Ray at {address} is version {found}, this machine has {ray.__version__}; install "
            f"ray=={found} here, or this version there"
        )


def _require_listener(address: str, host: str, port: int) -> None:
    try:
        socket.create_connection((host, port), CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise StartError(f"no Ray cluster answers at {address}: {error.strerror or error}; {_REACH}") from None
