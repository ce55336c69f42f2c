"""How processes of a cluster reach each other: past all proxies, and on loopback if the cluster is one machine."""

import errno
import importlib
import os
import socket
from collections.abc import MutableMapping
from functools import partial
from ipaddress import ip_address
from typing import Any

# gRPC uses grpc_proxy, https_proxy and http_proxy. Nodes are addressed by numbers, and gRPC never leaves the cluster.
EVERY_ADDRESS = "0.0.0.0/0,::/0"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Ray's two servers for its own metrics ask for no token and cannot be switched off. If they cannot listen, they log
# that and everything else runs.
NO_PORT = "-1"


def bypass_proxies(environment: MutableMapping[str, str] = os.environ) -> None:
    """Limit the proxies in `environment` to traffic that leaves: connections of this process and its children go past
    them inside the cluster (gRPC) and on this machine (HTTP).
    """
    environment["no_grpc_proxy"] = EVERY_ADDRESS
    listed = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    hosts = [host.strip() for host in listed.split(",") if host.strip()]
    # Both spellings, because a library may read only one.
    environment["no_proxy"] = environment["NO_PROXY"] = ",".join(dict.fromkeys([*hosts, *LOOPBACK]))


def keep_on_loopback(environment: MutableMapping[str, str]) -> None:
    """Make a Ray that starts with `environment` listen on loopback only. Ray reads the variable at import.

    Ray has this mode for macOS and Windows, where listening on the machine's address needs a permission of the
    firewall.
    """
    environment["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    environment["AUTOSCALER_METRIC_PORT"] = environment["DASHBOARD_METRIC_PORT"] = NO_PORT


def family_of(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def listen_error(host: str, port: int) -> OSError | None:
    """Why nothing can listen there; None if a server can."""
    with socket.socket(family_of(host)) as probe:
        # As servers do: a socket in TIME_WAIT is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError as error:
            return error
    return None


def is_of_port(error: OSError) -> bool:
    """Is the port at fault, and not the host?"""
    return error.errno in (errno.EADDRINUSE, errno.EACCES)


def set_up_replica() -> None:
    """Call in the constructor of a deployment. The process goes past proxies. On a Ray on loopback, Serve's own server,
    which takes pickles and starts after the constructor, listens on loopback as well.
    """
    bypass_proxies()
    replica: Any = importlib.import_module("ray.serve._private.replica")
    if not isinstance(replica.add_port_to_grpc_server, partial):
        replica.add_port_to_grpc_server = partial(_listen, replica.add_port_to_grpc_server)


def _listen(add_port: Any, server: Any, address: str) -> int:
    """Serve passes all interfaces here and announces the node's address."""
    import ray

    node = ray.util.get_node_ip_address()
    if ip_address(node).is_loopback:
        port = address.rpartition(":")[2]
        address = f"[{node}]:{port}" if ":" in node else f"{node}:{port}"
    return add_port(server, address)
