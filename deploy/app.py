"""Builds the Serve application from the settings: `serve run labelstream.deploy.app:build config=labelstream.yaml`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig, RequestRouterConfig
from ray.serve.schema import LoggingConfig

from labelstream.deploy.control.control_plane import ControlPlane
from labelstream.deploy.control.deployed import Owner, UserConfig
from labelstream.deploy.control.scaling import serve_policies
from labelstream.deploy.deployments.config_parts import part_of, without_counts
from labelstream.deploy.deployments.gpus import num_gpus
from labelstream.deploy.deployments.model_replica import ModelReplica
from labelstream.deploy.deployments.stream_worker import MakeWorker, StreamWorker
from labelstream.deploy.deployments.version import file_of, files_of, version_of
from labelstream.deploy.gateway.http_gateway import HttpGateway
from labelstream.deploy.model_client.least_outstanding_router import LeastOutstandingRouter
from labelstream.deploy.model_client.serve_classifier import PARTS_AT_ONCE
from labelstream.deploy.names import BOARD, GATEWAY, model_deployment, pipeline_deployment, used_models
from labelstream.deploy.observability import tracing
from labelstream.workers.config_file import load_settings, read_config_file, without_secrets
from labelstream.workers.errors import ConfigError
from labelstream.workers.settings.application import Settings
from labelstream.workers.settings.http import HttpSettings
from labelstream.workers.settings.model import ModelSettings
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.settings.ranges import Range
from labelstream.workers.settings.telemetry import LogSettings

# Seconds that PipelineWorker.stop may take after the drain: commit, leave the group, close the producer.
STOP_MARGIN_S = 30.0
REFUSED_AT_ONCE = 64  # requests above http.max_ongoing_requests that a gateway replica refuses at once
UPSCALE_S, DOWNSCALE_S = 5.0, 120.0  # of gateway replicas
MIN_ONGOING_CALLS = 64
ROUTER = RequestRouterConfig(request_router_class=LeastOutstandingRouter)  # type: ignore[arg-type]
# The period is also how soon a dead replica is noticed. From a SIGKILL to the next replica's constructor (five runs
# each): 6.6 s with a period of 5 s, 4.1 s with 2 s, 3.8 s with 1 s.
HEALTH_CHECK_PERIOD_S, HEALTH_CHECK_TIMEOUT_S = 2.0, 30.0


def build(args: dict[str, Any]) -> Application:
    """Serve's application builder. `args`: {"config": "file.yaml"}, or the config's own tree.

    Raises ConfigError naming the key and the fix.
    """
    if "config" in args:
        if len(args) > 1:
            other = next(key for key in args if key != "config")
            raise ConfigError(other, "is given beside config", "give either config or the config's own keys")
        if not isinstance(args["config"], str):
            raise ConfigError("config", "is not a path", "give the config file: config=labelstream.yaml")
        return application(load_settings(read_config_file(args["config"])))
    return application(load_settings(args))


def application(
    settings: Settings,
    make_worker: MakeWorker | None = None,
    replica: type[ModelReplica] = ModelReplica,
    owner: Owner | None = None,
) -> Application:
    """All pipelines with their models, and the control plane. Raises ConfigError.

    - `make_worker`, `replica`: replace PipelineWorker and ModelReplica in measurements and tests.
    - `owner`: the command that deploys; None for Serve's own commands. With a local owner nothing reserves CPUs,
      because `labelstream apply` may need more CPUs than the local Ray was started with.
    """
    tracing.check(settings.tracing)
    # A model that nobody uses gets no replica: the replica would hold a GPU, and a config may list models for later.
    reserve = not (owner and owner["local"])
    models = {name: model_application(name, settings, replica, reserve) for name in used_models(settings)}
    config = without_secrets(settings)
    uncounted = without_counts(config)
    workers = {name: _pipeline(name, settings, uncounted, models, make_worker, reserve) for name in settings.pipelines}
    drain_timeout_s = _drain_timeout_s(settings.pipelines.values(), settings.http)
    scaled = any(_scales(part) for part in (*settings.models.values(), *settings.pipelines.values()))
    # The control plane's decisions depend on the counts if any of them may change.
    version = version_of(ControlPlane, config if scaled else uncounted)
    board = _deployment(
        ControlPlane,
        BOARD,
        version,
        settings.logs,
        ray_actor_options={"num_cpus": 0} | _near_kafka(settings),
        max_ongoing_requests=1_000,
        user_config=UserConfig(owner=owner, config=config, drain_timeout_s=drain_timeout_s),
        **({"autoscaling_config": serve_policies.config(serve_policies.PublishTargetsPolicy, 1, 1)} if scaled else {}),
    ).bind(workers, config)
    # The application's root gets the requests of Serve's HTTP proxies.
    return board if settings.http is None else _gateway(settings, settings.http, config, models, board, reserve)


def route_prefix(settings: Settings) -> str | None:
    """The application's HTTP route; None: no route."""
    return None if settings.http is None else "/"


def _gateway(
    settings: Settings,
    http: HttpSettings,
    config: dict[str, Any],
    models: Mapping[str, Application],
    board: Application,
    reserve: bool,
) -> Application:
    """`config`: `settings` without secrets."""
    config = {section: part for section, part in config.items() if section not in ("kafka", "pipelines")}
    uncounted = without_counts(config)
    uncounted["http"] = {key: value for key, value in config.get("http", {}).items() if key != "replicas"}
    counts: dict[str, Any] = {"num_replicas": http.replicas.min}
    if http.replicas.max > http.replicas.min:
        counts = {
            "autoscaling_config": AutoscalingConfig(
                min_replicas=http.replicas.min,
                max_replicas=http.replicas.max,
                target_ongoing_requests=max(1, http.max_ongoing_requests // 2),
                upscale_delay_s=UPSCALE_S,
                downscale_delay_s=DOWNSCALE_S,
            )
        }
    return _deployment(
        HttpGateway,
        GATEWAY,
        version_of(HttpGateway, uncounted, file_of(http.token_file)),
        settings.logs,
        ray_actor_options={"num_cpus": 1 if reserve else 0},
        # The gateway refuses requests above its own limit with the right status; Serve would queue them.
        max_ongoing_requests=http.max_ongoing_requests + REFUSED_AT_ONCE,
        graceful_shutdown_timeout_s=http.timeout_s + STOP_MARGIN_S,
        **counts,
    ).bind(config, dict(models), board)


def _drain_timeout_s(pipelines: Iterable[PipelineSettings], http: HttpSettings | None) -> float:
    """Longest drain of all that call models."""
    drains = [pipeline.drain_timeout_s for pipeline in pipelines]
    return max(drains if http is None else [*drains, http.timeout_s])


def _near_kafka(settings: Settings) -> dict[str, Any]:
    """Ray's option that places an actor on nodes from which the brokers are reached."""
    labels = settings.node_labels
    return {"label_selector": labels} if labels else {}


def _scales(part: ModelSettings | PipelineSettings) -> bool:
    counts = _counts(part)
    return counts.max > counts.min


def _counts(part: ModelSettings | PipelineSettings) -> Range:
    return part.replicas if isinstance(part, ModelSettings) else part.workers


def _replicas(part: ModelSettings | PipelineSettings) -> dict[str, Any]:
    """Serve's options for the number of replicas."""
    counts = _counts(part)
    if _scales(part):
        return {"autoscaling_config": serve_policies.config(serve_policies.FollowTargetsPolicy, counts.min, counts.max)}
    return {"num_replicas": counts.min}


def model_application(
    name: str, settings: Settings, replica: type[ModelReplica] = ModelReplica, reserve: bool = True
) -> Application:
    """The deployment of one model that a pipeline uses, by itself. Raises ConfigError.

    `reserve`: whether its replicas reserve CPUs.
    """
    spec = settings.models[name]
    users = [pipeline for pipeline in settings.pipelines.values() if name in pipeline.allowed_models]
    in_flight = sum(pipeline.workers.max * pipeline.most_in_flight for pipeline in users)
    if settings.http is not None:
        in_flight += settings.http.replicas.max * settings.http.max_ongoing_requests
    spec = _with_absolute_paths(spec)
    arguments = spec.model_dump(mode="json", exclude={"replicas"})
    shown = settings.telemetry.model_dump(mode="json")
    return _deployment(
        replica,
        model_deployment(name),
        version_of(replica, arguments, shown, files_of(spec.source), file_of(spec.calibration_texts)),
        settings.logs,
        ray_actor_options={"num_cpus": spec.num_cpus if reserve else 0, "num_gpus": num_gpus(name, spec)},
        # The workers bound the calls in flight. Serve must not queue calls in the handle: replicas batch across calls,
        # so all calls must reach them, and an HTTP request must not wait there behind the stream.
        max_ongoing_requests=max(MIN_ONGOING_CALLS, PARTS_AT_ONCE * in_flight),
        request_router_config=ROUTER,
        # Longer than any caller's drain, because callers need the model until they are drained.
        graceful_shutdown_timeout_s=_drain_timeout_s(users, settings.http) + STOP_MARGIN_S,
        **_replicas(spec),
    ).bind(arguments, shown)


def _pipeline(
    name: str,
    settings: Settings,
    config: dict[str, Any],
    models: Mapping[str, Application],
    make_worker: MakeWorker | None,
    reserve: bool,
) -> Application:
    """`config`: `settings` without secrets and counts."""
    pipeline = settings.pipelines[name]
    made_by = None if make_worker is None else f"{make_worker.__module__}.{make_worker.__qualname__}"
    return _deployment(
        StreamWorker,
        pipeline_deployment(name),
        version_of(StreamWorker, name, part_of(config, name, pipeline), made_by),
        settings.logs,
        **_replicas(pipeline),
        ray_actor_options={"num_cpus": 1 if reserve else 0} | _near_kafka(settings),
        max_ongoing_requests=8,
        graceful_shutdown_timeout_s=pipeline.drain_timeout_s + STOP_MARGIN_S,
    ).bind(name, config, {model: models[model] for model in pipeline.allowed_models}, make_worker)


def _deployment(kind: type, name: str, version: str, logs: LogSettings, **options: Any) -> serve.Deployment:
    # The classes are wrapped here and not decorated: a decorated class is pickled by value instead of by name.
    return serve.deployment(kind).options(  # type: ignore[attr-defined]
        name=name,
        # Without a version, each deployment by a program gets a random one, and Serve replaces every replica. Serve's
        # public API does not take a version; `serve deploy` makes one from the application's arguments.
        version=version,
        _internal=True,
        health_check_period_s=HEALTH_CHECK_PERIOD_S,
        health_check_timeout_s=HEALTH_CHECK_TIMEOUT_S,
        graceful_shutdown_wait_loop_s=0.5,
        logging_config=LoggingConfig(encoding=logs.format.upper(), enable_access_log=False, log_level="WARNING"),
        **options,
    )


def _with_absolute_paths(spec: ModelSettings) -> ModelSettings:
    """Absolute paths, because a replica has a working directory of its own."""
    paths: dict[str, str | Path] = {}
    folder = Path(spec.source).expanduser()
    if folder.is_dir() and not folder.is_absolute():
        paths["source"] = str(folder.resolve())
    if spec.calibration_texts is not None:
        paths["calibration_texts"] = spec.calibration_texts.expanduser().absolute()
    return spec.model_copy(update=paths)
