"""`labelstream run`: models and pipelines of a config file, until it is told to stop."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.application import status_view as view
from labelstream.deploy.cli.common.connect import ConfigFile, load_config
from labelstream.deploy.cli.common.console import VERBOSITY, err, escape, plural, set_up_logging, stops_on_signals
from labelstream.deploy.cli.common.process_group import run_in_new_session
from labelstream.deploy.cluster.kept_logs import keep_logs
from labelstream.deploy.cluster.run_folder import use_address, write_note
from labelstream.deploy.cluster.run_note import note_of
from labelstream.deploy.control.reports import Status
from labelstream.workers.errors import ConfigError, LabelstreamError, StartError

logger = logging.getLogger(__name__)
LINE_EVERY_S, TABLE_EVERY_S, ANSWER_S = 10.0, 1.0, 5.0
PATIENCE_S = 60.0  # without an answer of the control plane; Serve restarts what it can meanwhile


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
    settings = load_config(config)
    if address is not None:
        use_address(address)
    folder = run_in_new_session(looked=True) if address is None else None
    set_up_logging(logging.DEBUG if VERBOSITY.on else logging.INFO, _formatter(settings))
    with stops_on_signals():
        try:
            _run(settings, config, address, folder, metrics_port)
        except KeyboardInterrupt:
            logger.info("stopped")


def _run(settings: Any, config: Path, address: str | None, folder: Path | None, metrics_port: int | None) -> None:
    started = time.monotonic()
    if address is None:  # workers and models of a cluster may be where this machine is not
        _look_before(settings, metrics_port)
    logger.info("starting Ray on this machine" if address is None else f"joining Ray at {address}")
    from labelstream.deploy.cluster import runtime

    with _logs_kept(folder), runtime.ray_for(settings, address, metrics_port), stops_on_signals():
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
            runtime.deploy(settings, on_progress=_log_progress)
            logger.info(
                "everything runs, %.0f s after the start; Ctrl-C or SIGTERM stops it", time.monotonic() - started
            )
            _watch(runtime)
        finally:
            logger.info("stopping: finishing and committing what is in flight")
            if address is not None:
                runtime.undeploy(settings)


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


def _look_before(settings: Any, metrics_port: int | None) -> None:
    """Raises StartError where something would keep it from starting; each finding is a line before that."""
    from labelstream.deploy.cli.application.preflight import show_findings, start_findings

    findings = start_findings(settings, metrics_port)
    problems = show_findings(findings, lambda level, line: logger.log(level, "%s", escape(line)))
    if problems:
        raise StartError(f"nothing is started: {plural(problems, 'problem')}, see above")


def _formatter(settings: Any) -> logging.Formatter | None:
    from labelstream.deploy.observability.logs import json_formatter

    return json_formatter({}) if settings.logs.format == "json" else None


def _log_progress(states: dict[str, str]) -> None:
    logger.info("%s", ", ".join(f"{name} {state.lower()}" for name, state in states.items()))


def _watch(runtime: Any) -> None:
    """Show the status until interrupted. Raises StartError when the application is gone for good."""
    console, seen = err(), view.StatusView()
    if not console.is_terminal:
        while True:
            time.sleep(LINE_EVERY_S)
            for pipeline in seen.pipelines(_ask(runtime)):
                logger.info("%s", escape(view.line(pipeline)))
    from rich.live import Live

    # Log lines scroll above the table: Live takes stderr over while it runs.
    with Live(console=console, auto_refresh=False, redirect_stdout=False) as live:
        while True:
            status = _ask(runtime)
            live.update(_live_view(seen.pipelines(status), seen.models(status)), refresh=True)
            time.sleep(TABLE_EVERY_S)


def _ask(runtime: Any) -> Status:
    """The control plane's answer. It may be away for a moment, when Serve restarts it."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            return runtime.status(timeout_s=ANSWER_S)
        except StartError as error:
            if time.monotonic() > until:
                raise
            logger.warning("no status: %s", error)
            time.sleep(1.0)


def _live_view(pipelines: list[view.PipelineView], models: list[view.ModelView]) -> Any:
    from rich.console import Group
    from rich.text import Text

    devices = [Text(escape(view.model_line(model)), style="dim", overflow="fold") for model in models]
    return Group(view.Overview(pipelines), *devices, *view.problem_lines(pipelines))
