"""Ray and Serve around an application: started and ended here without leftover processes, or joined by address."""

import logging
import math
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import ray
from ray import serve
from ray._private.node import Node
from ray.serve import context
from ray.serve.schema import LoggingConfig

from labelstream.deploy.cluster.application.removal import drain
from labelstream.deploy.cluster.join import check_installed, join
from labelstream.deploy.cluster.machine import OBJECT_STORE_BYTES
from labelstream.deploy.cluster.metrics_endpoint import MetricsAddress, metrics_endpoint
from labelstream.deploy.cluster.network import bypass_proxies
from labelstream.deploy.cluster.serve_errors import cause_in
from labelstream.deploy.cluster.signals import Patience, handling, interrupt
from labelstream.deploy.cluster.worker_logs import WorkerLogs, ray_messages_logged, source_of
from labelstream.deploy.deployments.usable_cores import usable_cores
from labelstream.deploy.names import APP, used_models
from labelstream.workers.errors import StartError
from labelstream.workers.settings.application import Settings

logger = logging.getLogger(__name__)
PROGRESS_S = 15.0
HANDLES_S = 5.0
# Processes of Ray's head that nothing here uses: the server of the disabled dashboard, for which `ray.init` waits; the
# autoscaler's monitor; the monitor that sends log lines to the driver. Without them a start takes a quarter less CPU
# time and 280 MB less memory.
UNUSED = ("start_api_server", "start_monitor", "start_log_monitor")


@contextmanager
def ray_for(
    settings: Settings,
    address: str | None = None,
    metrics: MetricsAddress | None = None,
    on_log: Callable[[str], None] | None = None,
) -> Iterator[None]:
    """Ray with Serve: a new one for the duration of the context, or the cluster at `address`.

    A new Ray listens on loopback and has a token of its own, if `use_run_folder` has prepared this process.

    - `metrics`: where the metrics of a new Ray are served to a Prometheus; None: nowhere.
    - `on_log`: gets each log line of workers and models, from a thread of its own; see `WorkerLogs`.

    At the end a local Ray drains its pipelines and stops; a cluster at `address` is only left. In the context SIGTERM
    raises KeyboardInterrupt like Ctrl-C. Ray's own processes see neither: they have other process groups or block
    SIGINT. Raises StartError if no Ray answers at `address` or none can be started.
    """
    _quiet()
    with ray_messages_logged(), metrics_endpoint(metrics) as show_metrics:
        if address is None:
            _start_local(settings, metrics is not None)
            show_metrics(f"http://127.0.0.1:{ray.nodes()[0]['MetricsExportPort']}/metrics")
        else:
            join(address)
            _warn_of_labels(settings)
        with _serve(settings, address is None, on_log):
            yield


@contextmanager
def _serve(settings: Settings, local: bool, on_log: Callable[[str], None] | None) -> Iterator[None]:
    """Serve on the connected Ray. At the end this process leaves; a local Ray first drains its pipelines."""
    # ray.init installs a handler for SIGTERM that aborts the process and everything in it.
    with handling((signal.SIGTERM,), interrupt):
        logs = None if on_log is None else WorkerLogs(on_log, source_of(local))
        try:
            start_serve(settings, everywhere=not local)
            yield
        finally:
            with handling((signal.SIGINT, signal.SIGTERM), Patience()):
                try:
                    if local:
                        drain()
                    if logs is not None:
                        logs.close()
                finally:
                    _leave()  # everything inside ends at once, Serve as well: nothing is in flight


def start_serve(settings: Settings, everywhere: bool) -> None:
    """Start Serve on the connected Ray, unless it runs. `everywhere`: all nodes must have this version of Labelstream.

    Serve's HTTP proxies run only if the settings have HTTP: docs/adr/0011-http-proxy-on-demand.md. Raises StartError,
    also if a running Serve listens elsewhere.
    """
    from labelstream.deploy.gateway.proxy.options import check_proxy, proxy_options

    if everywhere:
        check_installed()
    serve.start(**proxy_options(settings.http), logging_config=LoggingConfig(log_level="WARNING"))
    if settings.http is not None:
        check_proxy(settings.http)


@contextmanager
def joined(address: str) -> Iterator[None]:
    """Join the Ray at `address` without starting or ending anything. Raises StartError like `join`."""
    _quiet()
    join(address)
    try:
        yield
    finally:
        _leave()


def address() -> str:
    """Address of the connected Ray, for `joined`."""
    return ray.get_runtime_context().gcs_address


def _leave() -> None:
    """Disconnect from Ray. Serve's threads in this process end first, because they would report calls to nobody."""
    client = context._global_client
    if client is not None:
        ending = threading.Thread(target=client.shutdown_cached_handles, daemon=True)
        ending.start()
        ending.join(HANDLES_S)
    ray.shutdown()


def _quiet() -> None:
    for name in ("ray", "ray.serve"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _start_local(settings: Settings, collects_metrics: bool) -> None:
    from labelstream.deploy.gateway.proxy.options import guard_proxies

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    guard_proxies(os.environ)
    bypass_proxies()
    with _telling("starting Ray"):
        try:
            _init_local(settings, collects_metrics)
        except (
            Exception
        ):  # Ray gives its processes 30 s to start, which is too short on a busy machine, and raises a bare Exception
            ray.shutdown()
            try:
                _init_local(settings, collects_metrics)
            except Exception as error:
                raise StartError(f"Ray does not start on this machine: {cause_in(str(error))}") from None


@contextmanager
def _telling(what: str) -> Iterator[None]:
    """Log a line every 15 s while the context lasts."""
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(PROGRESS_S):
            logger.info("still %s", what)

    threading.Thread(target=tell, daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _init_local(settings: Settings, collects_metrics: bool) -> None:
    with _without_unused():
        ray.init(
            address="local",  # never the cluster that RAY_ADDRESS may name
            num_cpus=max(usable_cores(), _reserved_cpus(settings)),
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
            labels=settings.node_labels,
            namespace=APP,
            configure_logging=False,
            log_to_driver=False,
            _node_ip_address="127.0.0.1",
            # Ray would open a port of its own choice for the metrics, on all interfaces.
            _system_config={"enable_metrics_collection": collects_metrics},
        )


@contextmanager
def _without_unused() -> Iterator[None]:
    """In the context `ray.init` starts none of `UNUSED`; a Ray without such a method stays as it is."""
    methods = {name: getattr(Node, name) for name in UNUSED if hasattr(Node, name)}
    for name in methods:
        setattr(Node, name, lambda *_, **__: None)
    try:
        yield
    finally:
        for name, method in methods.items():
            setattr(Node, name, method)


def _warn_of_labels(settings: Settings) -> None:
    """A warning and no error: a matching node may still join."""
    wanted = settings.node_labels
    if not any(wanted.items() <= node["Labels"].items() for node in ray.nodes() if node["Alive"]):
        pairs = ",".join(f"{key}={value}" for key, value in wanted.items())
        logger.warning(
            "no node has kafka.node_labels, and workers wait for such a node; start one with --labels %s", pairs
        )


def _reserved_cpus(settings: Settings) -> int:
    """CPUs that the deployments reserve at most. On one machine, reservations must not keep a deployment
    from starting.
    """
    models = sum(settings.models[name].replicas.max * settings.models[name].num_cpus for name in used_models(settings))
    gateways = 0 if settings.http is None else settings.http.replicas.max
    return math.ceil(models) + gateways + sum(pipeline.workers.max for pipeline in settings.pipelines.values())
