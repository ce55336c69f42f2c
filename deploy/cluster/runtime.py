"""Ray and Serve around an application: started and ended here without leftover processes, or joined by address."""

import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import ray
from ray import serve
from ray._private.node import Node
from ray.exceptions import RayError
from ray.serve import context
from ray.serve.exceptions import RayServeException
from ray.serve.schema import ApplicationStatus, LoggingConfig

from labelstream.deploy.cluster.join import check_installed, join
from labelstream.deploy.cluster.machine import OBJECT_STORE_BYTES
from labelstream.deploy.cluster.metrics_endpoint import MetricsAddress, metrics_endpoint
from labelstream.deploy.cluster.network import bypass_proxies
from labelstream.deploy.cluster.serve_errors import cause_in, raise_own_error
from labelstream.deploy.cluster.signals import Patience, handling, interrupt
from labelstream.deploy.cluster.worker_logs import WorkerLogs, ray_messages_logged, source_of
from labelstream.deploy.control.deployed import Deployed, Owner, UserConfig
from labelstream.deploy.control.reports import COMMAND_S, Outcome, Status
from labelstream.deploy.control.serve_replicas import live_replicas
from labelstream.deploy.control.worker_start import unjoined
from labelstream.deploy.deployments.usable_cores import usable_cores
from labelstream.deploy.names import APP, BOARD, GATEWAY, is_pipeline, pipeline_deployment, used_models
from labelstream.workers.errors import StartError
from labelstream.workers.settings.application import Settings
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.supervision.commands import Command

logger = logging.getLogger(__name__)
DEPLOY_TIMEOUT_S = 1_800.0  # a first start may download models
POLL_S = 0.25
DEPLOYED_S = 5.0
PROGRESS_S = 15.0
HANDLES_S = 5.0
# Processes of Ray's head that nothing here uses: the server of the disabled dashboard, for which `ray.init` waits; the
# autoscaler's monitor; the monitor that sends log lines to the driver. Without them a start takes a quarter less CPU
# time and 280 MB less memory.
UNUSED = ("start_api_server", "start_monitor", "start_log_monitor")


class NoApplication(StartError):
    """The cluster has no application of Labelstream."""


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


def deploy(
    settings: Settings,
    timeout_s: float = DEPLOY_TIMEOUT_S,
    app: serve.Application | None = None,
    on_progress: Callable[[dict[str, str]], None] | None = None,
    owner: Owner | None = None,
) -> None:
    """Deploy or update the application, and wait until every model is loaded and every worker has joined its group.

    - `app`: replaces `application(settings, owner=owner)`.
    - `on_progress`: gets the state of each deployment as it changes.

    Raises StartError, or the LabelstreamError that a replica raised, in one line. A failed application stays deployed
    until `undeploy` or the end of `ray_for`.
    """
    from labelstream.deploy.app import application, route_prefix  # not needed by `status`, which starts faster without

    before = serve.status().applications.get(APP)
    stale = {} if before is None else {name: found.message for name, found in before.deployments.items()}
    app = app or application(settings, owner=owner)
    target = serve.RunTarget(target=app, name=APP, route_prefix=route_prefix(settings))
    serve.run_many([target], wait_for_ingress_deployment_creation=False, wait_for_applications_running=False)
    deadline, again_at = time.monotonic() + timeout_s, time.monotonic() + PROGRESS_S
    seen: dict[str, str] = {}
    while waiting := _waiting(on_progress, seen, stale):
        if time.monotonic() > deadline:
            raise StartError(
                f"not started after {timeout_s:g} s: {', '.join(waiting)}; check the cluster's free resources and the "
                "logs"
            )
        if time.monotonic() > again_at:
            again_at += PROGRESS_S
            logger.info("still waiting for %s", ", ".join(waiting))
        time.sleep(POLL_S)


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


def status(timeout_s: float = 10.0) -> Status:
    """See `ControlPlane.status`; with the replicas that Serve knows to live. Raises StartError if nothing answers."""
    found: Status = _ask_board("status", timeout_s)
    with suppress(RayServeException, RayError, KeyError):
        found["replicas"] = live_replicas()
    return found


def command(pipeline: str, order: Command) -> Outcome:
    """See `ControlPlane.command`. Raises StartError like `status`."""
    return _ask_board("command", COMMAND_S + 10, pipeline, order)


def _ask_board(method: str, timeout_s: float, *arguments: object) -> Any:
    if not ray.is_initialized():  # otherwise Serve would start a Ray to look into
        raise StartError("BUG: not connected to Ray")
    response: Any = None
    try:
        response = serve.get_deployment_handle(BOARD, APP).options(method_name=method).remote(*arguments)
        return response.result(timeout_s=timeout_s)
    except (RayServeException, RayError, KeyError, TimeoutError) as error:
        if response is not None:
            response.cancel()
        if _is_gone():
            raise NoApplication(
                f"there is no application {APP} on this cluster; deploy one with `labelstream apply`"
            ) from None
        raise StartError(f"the application does not answer: {cause_in(str(error))}") from None


def _is_gone() -> bool:
    """Whether the application is gone: Serve keeps handles of deleted applications."""
    try:
        return APP not in serve.status().applications
    except (RayServeException, RayError, TimeoutError):
        return False


def deployed() -> Deployed | None:
    """The application on the connected cluster, if any."""
    app = serve.status().applications.get(APP)
    if app is None:
        return None
    found: UserConfig | None = None
    if BOARD in app.deployments:
        try:
            found = _ask_board("deployed", DEPLOYED_S)
        except StartError as error:
            logger.debug("%s", error)
    if found is None:
        return Deployed(None, None, PipelineSettings.model_fields["drain_timeout_s"].default)
    return Deployed(**found)


def drain(without: Collection[str] = (), gateway: bool = True) -> bool:
    """Stop all workers and the gateway after what is in flight, while the models still answer. True if everything was
    finished.

    - `without`: pipelines that go on.
    - `gateway`: whether the gateway stops.
    """
    from labelstream.deploy.app import STOP_MARGIN_S

    found = deployed()
    if found is None:
        return True
    kept = {pipeline_deployment(name) for name in without}
    pending: list[Any] = []
    for name in serve.status().applications[APP].deployments:
        if not (is_pipeline(name) or (gateway and name == GATEWAY)) or name in kept:
            continue
        try:
            pending.append(serve.get_deployment_handle(name, APP).broadcast("drain"))
        except (RayServeException, KeyError):  # Serve broadcasts handles: KeyError until the handle has arrived
            logger.debug("there is no %s", name)
    deadline = time.monotonic() + found.drain_timeout_s + STOP_MARGIN_S
    drained = True
    for response in pending:
        try:
            remaining_s = max(0.1, deadline - time.monotonic())
            results = response.results(timeout_s=remaining_s, return_exceptions=True)
            drained = drained and all(result is True for result in results)
        except (RayServeException, RayError, TimeoutError) as error:
            logger.debug("a deployment could not be drained: %s", error)
            drained = False
    return drained


def undeploy(owner: Owner | None = None) -> bool:
    """Drain the workers, then delete the application. True if nothing was left in flight.

    `owner`: delete only while the application belongs to this owner. Serve ends models and workers at once, hence the
    drain before. Raises StartError if the application still exists after a minute.
    """
    found = deployed()
    if found is None or (owner and found.owner and found.owner["id"] != owner["id"]):
        return True
    drained = drain()
    try:
        serve.delete(APP)
    except TimeoutError:
        raise StartError(f"the application {APP} is still being deleted; see `serve status`") from None
    return drained


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


def _waiting(
    on_progress: Callable[[dict[str, str]], None] | None, seen: dict[str, str], stale: dict[str, str]
) -> list[str]:
    """What has not started yet: deployments, or the workers that have not joined. See `_running`."""
    if not _running(on_progress, seen, stale):
        return [name for name, state in seen.items() if state != "HEALTHY"] or ["Serve"]
    deployments = serve.status().applications[APP].deployments
    if BOARD not in deployments:
        return []
    try:
        return unjoined(deployments, status()["pipelines"])
    except StartError as error:
        logger.debug("%s", error)
        return [BOARD]


def _running(on_progress: Callable[[dict[str, str]], None] | None, seen: dict[str, str], stale: dict[str, str]) -> bool:
    """Whether everything is up; updates `seen`. Raises the error of a failed deployment.

    `stale`: messages of the deployments from before the update, which stay until Serve starts on it.
    """
    app = serve.status().applications.get(APP)
    if app is None:
        return False
    states = {name: str(deployment.status.value) for name, deployment in app.deployments.items()}
    if states != seen:
        seen.update(states)
        if on_progress is not None:
            on_progress(states)
    # Serve tries three times. These errors need a person, so the first failure is enough.
    for name, deployment in app.deployments.items():
        if deployment.message != stale.get(name):
            raise_own_error(deployment.message)
    if app.status == ApplicationStatus.DEPLOY_FAILED:
        reasons = [d.message for d in app.deployments.values() if "UNHEALTHY" in str(d.status)] or [app.message]
        raise StartError(f"the application cannot be deployed: {cause_in(reasons[0])}")
    return app.status == ApplicationStatus.RUNNING
