"""`labelstream run`: models and pipelines of a config file, until it is told to stop."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.application.watch import NotOurs, Watch
from labelstream.deploy.cli.common.connect import ConfigFile, load_config
from labelstream.deploy.cli.common.console import (
    VERBOSITY,
    announced,
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
            help="A running Ray cluster (or `auto`, see `status`) instead of a local Ray. The "
            "application is removed from it again at the end.",
        ),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            metavar="PORT",
            help="Show metrics at this machine's PORT, /metrics, for a "
            "Prometheus; without, nowhere. With --address they are "
            "where that Ray shows its own.",
        ),
    ] = None,
    metrics_address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST",
            help="With --metrics-port: the address of this machine that shows them; 0.0.0.0 for all. Default: "
            "127.0.0.1, for this machine alone.",
        ),
    ] = None,
) -> None:
    """Run all pipelines of a config file, until Ctrl-C or SIGTERM.

    On a local Ray of its own, unless --address names a cluster. Before one is started, brokers, topics, permissions,
    GPUs, ports and models are looked for, and all that is missing is said at once. Stops cleanly: the workers finish
    and commit what they hold, then everything ends. A second signal waits for nothing but the end.
    """
    if address is not None and metrics_port is not None:
        raise ConfigError(
            "--metrics-port",
            "comes beside --address",
            "that Ray has a port of its own: see `ray start --metrics-export-port`",
        )
    if metrics_address is not None and metrics_port is None:
        raise ConfigError("--metrics-address", "comes without --metrics-port", "give the port too")
    from labelstream.deploy.cluster.metrics_endpoint import MetricsAddress

    metrics = None if metrics_port is None else MetricsAddress(metrics_address or "127.0.0.1", metrics_port)
    settings = load_config(config)
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
            _run(settings, config, address, folder, metrics)
        except KeyboardInterrupt:
            logger.info("stopped")


def _run(settings: Any, config: Path, address: str | None, folder: Path | None, metrics: Any) -> None:
    started = time.monotonic()
    if address is None:
        look_before(settings, metrics, "nothing is started")
    else:
        warn_before(settings)
    logger.info("starting Ray on this machine" if address is None else f"joining Ray at {address}")
    from labelstream.deploy.cluster import runtime

    owner = new_owner("run", config, local=address is None)
    with _logs_kept(folder), runtime.ray_for(settings, address, metrics, _show_line), stops_on_signals():
        if address is not None:
            _require_free(runtime.deployed(), f"-c {config} --address {address}")
        try:
            if folder is not None:
                write_note(folder, note_of(settings, config, runtime.address()))
            for name, pipeline in settings.pipelines.items():
                logger.info(
                    "pipeline %s: %s -> %s, dead letters to %s, model %s, %s",
                    name,
                    pipeline.input,
                    pipeline.output,
                    pipeline.dead_letter,
                    ", ".join(pipeline.allowed_models),
                    plural(pipeline.workers.max, "worker"),
                )
            runtime.deploy(settings, on_progress=log_progress, owner=owner)
            logger.info(
                "everything runs, %.0f s after the start; Ctrl-C or SIGTERM stops it", time.monotonic() - started
            )
            Watch(runtime, owner).show()
        except NotOurs:
            raise
        except BaseException:
            logger.info("stopping: finishing and committing what is in flight")
            if address is not None:
                runtime.undeploy(owner)
            raise


def _require_no_run(config: Path) -> None:
    """Raises StartError where this user runs the file on this machine already, unless a second run is wanted."""
    for other in [*(run.note for run in noted_runs()), *starting_runs()]:
        if other.config == resolved(config):
            what = "runs" if other.address else "is starting"
            text = f"{config} {what} on this machine already, in process {other.pid}"
            _confirm(text, "Start another one beside it?", f"-c {config}", "Ctrl-C or SIGTERM there ends it")


def _require_free(found: Deployed | None, options: str) -> None:
    """Raises StartError where an application is on the cluster, unless it is to be replaced."""
    if found is None:
        return
    text = f"an application is on this cluster already, by {described(found.owner)}"
    if found.owner is not None and found.owner["local"]:
        raise StartError(f"{text}, and ends with that command")
    _confirm(text, "Replace it?", options, "`labelstream remove` ends it")


def _confirm(found: str, question: str, options: str, end: str) -> None:
    if not sys.stdin.isatty():
        raise StartError(f"{found}: `labelstream apply {options}` changes it, {end}")
    say(f"{escape(found)}. `labelstream apply` would change it in place.")
    if not typer.confirm(question, err=True):
        raise StartError("nothing is started")


@contextmanager
def _logs_kept(folder: Path | None) -> Iterator[None]:
    """Ray's logs go with the run's folder, unless it fails."""
    try:
        yield
    except LabelstreamError:
        kept = None if folder is None else keep_logs(folder)
        if kept is not None:
            logger.error("the logs of Ray and Serve are kept in %s", kept)
        raise


def look_before(settings: Any, metrics: Any, refusal: str) -> None:
    """Raises StartError where something would keep it from starting; each finding is a line before that."""
    from labelstream.deploy.cli.application.preflight import show_findings, start_findings

    with announced("looking for brokers, topics and models", logger.info):
        findings = start_findings(settings, metrics)
        problems = show_findings(findings, lambda level, line: logger.log(level, "%s", escape(line)))
    if problems:
        raise StartError(f"{refusal}: {plural(problems, 'problem')}, see above")


def warn_before(settings: Any) -> None:
    """What this machine sees of brokers and topics. Only warnings: the nodes of a cluster may see more, or less."""
    from labelstream.deploy.cli.application.preflight import kafka_findings, show_findings

    seen = (
        finding._replace(level=logging.WARNING, text=f"{finding.text}, as seen from this machine")
        for finding in kafka_findings(settings)
        if finding.level >= logging.WARNING
    )
    show_findings(seen, lambda level, line: logger.log(level, "%s", escape(line)))


def _show_line(line: str) -> None:
    """Of a worker or a model: it has its own time, level and place."""
    say_at_once(escape(line))


def _formatter(settings: Any) -> logging.Formatter | None:
    from labelstream.deploy.observability.logs import json_formatter

    return json_formatter({}) if settings.logs.format == "json" else None


def log_progress(states: dict[str, str]) -> None:
    logger.info("%s", ", ".join(f"{name} {state.lower()}" for name, state in states.items()))
