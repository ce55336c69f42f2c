"""How processes inside a cluster reach each other: past every proxy, and on loopback where it is one machine."""

import importlib
import os
from collections.abc import MutableMapping
from functools import partial
from ipaddress import ip_address
from typing import Any

# gRPC takes grpc_proxy, https_proxy and http_proxy, and knows nodes by their numbers. Ours never leaves the cluster.
EVERY_ADDRESS = "0.0.0.0/0,::/0"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Ray's two servers for its own metrics, which ask nobody for a token, cannot be left out. Where none can listen they
# say so in Ray's log, and all else goes on.
NO_PORT = "-1"


def bypass_proxies(environment: MutableMapping[str, str] = os.environ) -> None:
    """Proxies in `environment` are for the outside alone: what this process and its children open from now on goes
    past them where it stays inside the cluster (gRPC) or on this machine (HTTP).
    """
    environment["no_grpc_proxy"] = EVERY_ADDRESS
    listed = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    hosts = [host.strip() for host in listed.split(",") if host.strip()]
    # Both: what reads the one may not read the other.
    environment["no_proxy"] = environment["NO_PROXY"] = ",".join(dict.fromkeys([*hosts, *LOOPBACK]))


def keep_on_loopback(environment: MutableMapping[str, str]) -> None:
    """A Ray that is started with `environment` listens on loopback alone. Ray reads it when it is imported.

    Ray has this for macOS and Windows, where a machine's own address asks for the firewall's leave.
    """
    environment["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    environment["AUTOSCALER_METRIC_PORT"] = environment["DASHBOARD_METRIC_PORT"] = NO_PORT


def set_up_replica() -> None:
    """For the constructor of a deployment: it goes past proxies, and on a Ray on loopback Serve's own server, which
    takes pickles and is to be started behind the constructor, listens there as well.
    """
    bypass_proxies()
    replica: Any = importlib.import_module("ray.serve._private.replica")
    if not isinstance(replica.add_port_to_grpc_server, partial):
        replica.add_port_to_grpc_server = partial(_listen, replica.add_port_to_grpc_server)


def _listen(add_port: Any, server: Any, address: str) -> int:
    """Serve names all interfaces, and tells the others the node's address."""
    import ray

    node = ray.util.get_node_ip_address()
    if ip_address(node).is_loopback:
        port = address.rpartition(":")[2]
        address = f"[{node}]:{port}" if ":" in node else f"{node}:{port}"
    return add_port(server, address)
