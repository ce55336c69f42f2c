"""`labelstream status`: places, throughput, lag and problems of a running application."""

import json
import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.application import status_view as view
from labelstream.deploy.cli.common.completion import complete_pipeline
from labelstream.deploy.cli.common.console import announced, escape, out
from labelstream.deploy.cli.common.running import Address, RunConfig, address_of
from labelstream.deploy.cli.common.times import duration_s
from labelstream.deploy.control.reports import Place, Status
from labelstream.deploy.control.summary import ModelView, PipelineView, StatusView, alive, is_ready, old_age, problems
from labelstream.deploy.names import GATEWAY, model_deployment, pipeline_deployment
from labelstream.workers.errors import ConfigError, StartError
from labelstream.workers.stream.report import ALARMS_PAGE

AGAIN_S = 2.0


def status(
    pipeline: Annotated[
        str | None,
        typer.Argument(
            metavar="PIPELINE",
            help="Show only this pipeline. Its name also selects the run.",
            autocompletion=complete_pipeline,
        ),
    ] = None,
    config: RunConfig = None,
    address: Address = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all numbers of all processes as one JSON object.")
    ] = False,
    wait: Annotated[
        str,
        typer.Option(
            metavar="DURATION",
            help="Wait up to this long (90s, 10m) until the application is healthy and all workers run.",
        ),
    ] = "0",
) -> None:
    """Show a running application: your run on this machine, or the application of a cluster.

    If several runs are on this machine, choose one with --config, PIPELINE or --address. Exit code 1: the application
    has a problem, such as an alarm.
    """
    wait_s = duration_s("--wait", wait)
    until = time.monotonic() + wait_s
    where = address_of(address, config, pipeline, wait_s)
    with announced(f"asking the application at {where}"):
        from labelstream.deploy.cluster import runtime
        from labelstream.deploy.cluster.application import control_client

        with runtime.joined(where):
            found, pipelines, models = _ask(control_client, pipeline, until)
            if as_json:
                typer.echo(json.dumps(found, indent=2))
            else:
                _show(pipelines, models, found)
    if _has_problem(pipelines) or (wait_s and not _is_ready(pipelines)):
        raise typer.Exit(1)


def _ask(client: Any, pipeline: str | None, until: float) -> tuple[Status, list[PipelineView], list[ModelView]]:
    """The status when the application is ready, or at the time `until`. Raises StartError without an answer then."""
    seen = StatusView()
    while True:
        try:
            found = _only(client.status(), pipeline)
            pipelines, models = seen.pipelines(found), seen.models(found)
            if _is_ready(pipelines) or time.monotonic() > until:
                return found, pipelines, models
        except StartError:
            if time.monotonic() > until:
                raise
        time.sleep(AGAIN_S)


def _is_ready(pipelines: list[PipelineView]) -> bool:
    return all(is_ready(pipeline) for pipeline in pipelines)


def _has_problem(pipelines: list[PipelineView]) -> bool:
    return any(problems(pipeline) for pipeline in pipelines)


def _only(found: Status, pipeline: str | None) -> Status:
    """The status of one pipeline and of all models. Raises ConfigError if there is no such pipeline."""
    if pipeline is None:
        return found
    known = found["pipelines"]
    if pipeline not in known:
        raise ConfigError(
            "PIPELINE", f"the application has no pipeline {pipeline!r}", f"give one of {', '.join(sorted(known))}"
        )
    shown: Status = {**found, "pipelines": {pipeline: known[pipeline]}}
    if "scaling" in found:
        others = {pipeline_deployment(name) for name in known} - {pipeline_deployment(pipeline)}
        reasons = {name: text for name, text in found["scaling"]["reasons"].items() if name not in others}
        shown["scaling"] = {**found["scaling"], "reasons": reasons}
    return shown


def _show(pipelines: list[PipelineView], models: list[ModelView], found: Status) -> None:
    console = out()
    if pipelines:
        console.print(view.Overview(pipelines))
    lines = [*view.http_lines(found), *(view.model_line(model) for model in models)]
    for name, workers in found["pipelines"].items():
        lines += _places(f"pipeline {name}", workers, alive(found, pipeline_deployment(name), workers))
    for name, replicas in found["models"].items():
        lines += _places(f"model {name}", replicas, alive(found, model_deployment(name), replicas))
    for replicas in found.get("gateway", {}).values():
        lines += _places("gateway", replicas, alive(found, GATEWAY, replicas))
    lines += [
        f"{name}: {reason}" for name, reason in (found["scaling"]["reasons"] if "scaling" in found else {}).items()
    ]
    whole = not console.is_terminal  # in a pipe, no line is wrapped: grep needs whole lines
    for line in lines:
        console.print(escape(line), soft_wrap=whole)
    for problem in view.problem_lines(pipelines):
        console.print(problem, soft_wrap=whole)
    if any(pipeline.alarms for pipeline in pipelines):
        console.print(f"what each alarm means: {ALARMS_PAGE}", soft_wrap=whole)


def _places(subject: str, reports: Mapping[str, Place], alive: Mapping[str, Place]) -> list[str]:
    """Where each worker or replica runs. A dead one is listed as long as the control plane has its report."""
    lines = []
    for key, at in reports.items():
        state = "" if key in alive else ", dead"
        old = f", last report {age} ago" if (age := old_age(at)) else ""
        lines.append(f"{subject}: {key} on {at['node']}, process {at['pid']}{state}{old}")
    return lines
