"""`labelstream status`: what runs where, what waits, how fast it goes, and what is wrong."""

import json
import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.application import status_view as view
from labelstream.deploy.cli.common.console import escape, out
from labelstream.deploy.cli.common.process_group import Address, address_of
from labelstream.deploy.cli.common.times import duration_s
from labelstream.deploy.control.reports import Place, Status
from labelstream.workers.errors import StartError

BETWEEN_S = 2.0  # two looks make a rate; workers report once a second


def status(
    address: Address = None,
    as_json: Annotated[bool, typer.Option("--json", help="All numbers of all processes, as one JSON object.")] = False,
    wait: Annotated[
        str,
        typer.Option(metavar="DURATION", help="Look again for so long (90s, 10m, or seconds), until nothing is wrong."),
    ] = "0",
) -> None:
    """Show a running application. Exits with 1 when something is wrong with it."""
    wait_s, where = duration_s("--wait", wait), address_of(address)
    from labelstream.deploy.cluster import runtime

    seen, until = view.StatusView(), time.monotonic() + wait_s
    with runtime.joined(where):
        first = _first(runtime, until)
        seen.pipelines(first)
        seen.models(first)
        while True:
            time.sleep(BETWEEN_S)
            found = runtime.status()
            pipelines, models = seen.pipelines(found), seen.models(found)
            wrong = any(view.problems(pipeline) for pipeline in pipelines)
            if not wrong or time.monotonic() > until:
                break
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        _show(pipelines, models, found)
    if wrong:
        raise typer.Exit(1)


def _first(runtime: Any, until: float) -> Status:
    """The first answer. Raises StartError when there is none in time."""
    while True:
        try:
            return runtime.status()
        except StartError:
            if time.monotonic() > until:
                raise
        time.sleep(BETWEEN_S)


def _show(pipelines: list[view.PipelineView], models: list[view.ModelView], found: Status) -> None:
    console = out()
    console.print(view.table(pipelines))
    for model in models:
        console.print(view.model_line(model), soft_wrap=True)
    kinds: dict[str, Mapping[str, Mapping[str, Place]]] = {"pipeline": found["pipelines"], "model": found["models"]}
    for kind, reports in kinds.items():
        for name, places in reports.items():
            for replica, place in places.items():
                text = f"{kind} {name}: {replica} on {place['node']}, process {place['pid']}"
                console.print(text, soft_wrap=True)
    for name, reason in (found["scaling"]["reasons"] if "scaling" in found else {}).items():
        console.print(f"{name}: {escape(reason)}", soft_wrap=True)
    for pipeline in pipelines:
        for problem in view.problems(pipeline):
            console.print(f"{pipeline.name}: {escape(problem)}", style="red", soft_wrap=True)
