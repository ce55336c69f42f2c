"""`labelstream run`: runs all models and pipelines of a config file until a signal stops the command."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.application.check import topics_line
from labelstream.deploy.cli.application.watch import NotOurs, Watch
from labelstream.deploy.cli.common.connect import ConfigFile, load_config
from labelstream.deploy.cli.common.console import (
    VERBOSITY,
    announced,
    between,
    escape,
    plural,
    say,
    say_at_once,
    set_up_logging,
    stops_on_signals,
)
from labelstream.deploy.cli.common.process_group import run_in_new_session
from labelstream.deploy.cluster.kept_logs import keep_logs
from labelstream.deploy.cluster.run_folder import noted_runs, starting_runs, use_address, write_note
from labelstream.deploy.cluster.run_note import note_of, resolved
from labelstream.deploy.control.deployed import Deployed, described, new_owner
from labelstream.workers.errors import ConfigError, LabelstreamError, StartError

logger = logging.getLogger(__name__)


def run(
    config: ConfigFile,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Run on this Ray cluster instead of a local Ray: HOST:PORT, or `auto` (see `labelstream status "
            "--help`). At the end the application is removed from the cluster.",
        ),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            metavar="PORT",
            help="Serve metrics for Prometheus at http://HOST:PORT/metrics. Default: no endpoint. "
            "Not with --address: a cluster's Ray has its own endpoint.",
        ),
    ] = None,
    metrics_address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST",
            help="With --metrics-port: the address to listen on. 0.0.0.0 is every address of this machine. "
            "Default: 127.0.0.1.",
        ),
    ] = None,
    page: Annotated[
        bool,
        typer.Option(
            "--page",
            help="Show the application in a browser, as `http.page: true` does. Without the section http: at "
            "http://127.0.0.1:8000.",
        ),
    ] = False,
) -> None:
    """Run all pipelines and the HTTP gateway of a config file until Ctrl-C or SIGTERM.

    Starts a local Ray, unless --address names a cluster. Before that, the command checks brokers, topics, permissions,
    GPUs, ports and models, and lists all problems together. After Ctrl-C or SIGTERM the workers finish and commit what
    is in flight. Meanwhile the command answers the second signal with a reminder, and the third stops it without
    waiting for the workers.
    """
    if address is not None and metrics_port is not None:
        raise ConfigError(
            "--metrics-port",
            "unexpected beside --address",
            "leave it out: `ray start --metrics-export-port` sets the port of a cluster",
        )
    if metrics_address is not None and metrics_port is None:
        raise ConfigError("--metrics-address", "needs --metrics-port", "add --metrics-port PORT")
    from labelstream.deploy.cluster.metrics_endpoint import MetricsAddress

    metrics = None if metrics_port is None else MetricsAddress(metrics_address or "127.0.0.1", metrics_port)
    settings = load_config(config)
    if page:
        settings = with_page(settings)
    if address is not None:
        use_address(address)
    else:
        _require_no_run(config)
    folder = run_in_new_session(machine_checked=True) if address is None else None
    if folder is not None:
        write_note(folder, note_of(settings, config, address=""))
    set_up_logging(logging.DEBUG if VERBOSITY.on else logging.INFO, _formatter(settings))
    with stops_on_signals():
        try:
            _run(settings, config, address, folder, metrics, page)
        except KeyboardInterrupt:
            logger.info("stopped")


def _run(settings: Any, config: Path, address: str | None, folder: Path | None, metrics: Any, page: bool) -> None:
    started = time.monotonic()
    if address is None:
        look_before(settings, metrics, "nothing is started")
    else:
        warn_before(settings)
    logger.info("starting Ray on this machine" if address is None else f"joining Ray at {address}")
    from labelstream.deploy.cluster import runtime
    from labelstream.deploy.cluster.application import control_client, removal, rollout

    owner = new_owner("run", config, local=address is None, page=page)
    with _logs_kept(folder), runtime.ray_for(settings, address, metrics, _show_line), stops_on_signals():
        if address is not None:
            _require_free(control_client.deployed(), f"-c {config} --address {address}")
        try:
            if folder is not None:
                write_note(folder, note_of(settings, config, runtime.address()))
            if settings.http is not None:
                logger.info("http: %s, models %s", settings.http.url, ", ".join(settings.models))
            for name, pipeline in settings.pipelines.items():
                models, workers = ", ".join(pipeline.allowed_models), between(pipeline.workers, "worker")
                logger.info("pipeline %s: %s, model %s, %s", name, topics_line(pipeline), models, workers)
            rollout.deploy(settings, on_progress=log_progress, owner=owner)
            logger.info(
                "everything runs, %.0f s after the start; Ctrl-C or SIGTERM stops it", time.monotonic() - started
            )
            if settings.http is not None and settings.http.page:
                logger.info("page: %s", settings.http.url)
            Watch(control_client, owner).show()
        except NotOurs:
            raise
        except BaseException:
            logger.info("stopping: finishing and committing what is in flight")
            if address is not None:
                removal.undeploy(owner)
            raise


def with_page(settings: Any) -> Any:
    """`settings` with `http.page`, and with the section `http` if there is none."""
    from labelstream.workers.settings.http import HttpSettings

    http = settings.http or HttpSettings()
    return settings.model_copy(update={"http": http.model_copy(update={"page": True})})


def _require_no_run(config: Path) -> None:
    """Raises StartError if this user already runs the file on this machine and confirms no second run."""
    for other in [*(run.note for run in noted_runs()), *starting_runs()]:
        if other.config == resolved(config):
            what = "already runs" if other.address else "is already starting"
            text = f"{config} {what} on this machine (process {other.pid})"
            _confirm(text, "Start a second run beside it?", f"-c {config}", "Ctrl-C or SIGTERM in that process")


def _require_free(found: Deployed | None, options: str) -> None:
    """Raises StartError if the cluster has an application and the user does not confirm to replace it."""
    if found is None:
        return
    text = f"this cluster already has an application, deployed by {described(found.owner)}"
    if found.owner is not None and found.owner["local"]:
        raise StartError(f"{text}; the application ends with that command")
    _confirm(text, "Replace it?", options, "`labelstream remove`")


def _confirm(found: str, question: str, options: str, end: str) -> None:
    if not sys.stdin.isatty():
        raise StartError(f"{found}; change it with `labelstream apply {options}`, or end it with {end}")
    say(f"{escape(found)}. `labelstream apply` would change it in place.")
    if not typer.confirm(question, err=True):
        raise StartError("nothing is started")


@contextmanager
def _logs_kept(folder: Path | None) -> Iterator[None]:
    """Keep Ray's logs if the run fails; otherwise they are deleted with the run's folder."""
    try:
        yield
    except LabelstreamError:
        kept = None if folder is None else keep_logs(folder)
        if kept is not None:
            logger.error("the logs of Ray and Serve are kept in %s", kept)
        raise


def look_before(settings: Any, metrics: Any, refusal: str, runs: bool = False) -> None:
    """Log every finding in one line. Raises StartError if one of them is a problem."""
    from labelstream.deploy.cli.application.preflight import show_findings, start_findings

    with announced("checking brokers, topics and models", logger.info):
        findings = start_findings(settings, metrics, runs)
        problems = show_findings(findings, lambda level, line: logger.log(level, "%s", escape(line)))
    if problems:
        raise StartError(f"{refusal}: {plural(problems, 'problem')}, see above")


def warn_before(settings: Any) -> None:
    """Log problems with brokers and topics as warnings only: the nodes of a cluster may see them differently."""
    from labelstream.deploy.cli.application.preflight import kafka_findings, show_findings

    seen = (
        finding._replace(level=logging.WARNING, text=f"{finding.text}, as seen from this machine")
        for finding in kafka_findings(settings)
        if finding.level >= logging.WARNING
    )
    show_findings(seen, lambda level, line: logger.log(level, "%s", escape(line)))


def _show_line(line: str) -> None:
    """Print a worker's or replica's log line, which has its own time, level and place."""
    say_at_once(escape(line))


def _formatter(settings: Any) -> logging.Formatter | None:
    from labelstream.deploy.observability.logs import json_formatter

    return json_formatter({}) if settings.logs.format == "json" else None


def log_progress(states: dict[str, str]) -> None:
    logger.info("%s", ", ".join(f"{name} {state.lower()}" for name, state in states.items()))
