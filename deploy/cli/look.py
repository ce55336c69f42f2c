"""`labelstream status`: what runs where, what waits, how fast it goes, and what is wrong."""

import json
import time
from typing import Annotated, Any

import typer

from deploy.cli import status as view
from deploy.cli.operate import Address, address_of
from deploy.cli.terminal import escape, out

BETWEEN_S = 2.0  # two looks make a rate; workers report once a second


def status(
    address: Address = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="All numbers of all processes, as one JSON object.")] = False,
) -> None:
    """Show a running application. Exits with 1 when something is wrong with it."""
    where = address_of(address)
    from deploy import runtime

    with runtime.joined(where):
        seen = view.StatusView()
        first = runtime.status()
        seen.pipelines(first)
        seen.models(first)
        time.sleep(BETWEEN_S)
        found = runtime.status()
    pipelines = seen.pipelines(found)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        _show(pipelines, seen.models(found), found)
    if any(view.problems(pipeline) or pipeline.workers == 0 for pipeline in pipelines):
        raise typer.Exit(1)


def _show(pipelines: list[view.PipelineView], models: list[view.ModelView], found: dict[str, Any]) -> None:
    console = out()
    console.print(view.table(pipelines))
    for model in models:
        console.print(view.model_line(model), soft_wrap=True)
    for kind in ("pipelines", "models"):
        for name, replicas in found[kind].items():
            for replica, stats in replicas.items():
                console.print(f"{kind[:-1]} {name}: {replica} on {stats.get('node', '?')}, process "
                              f"{stats.get('pid', '?')}", soft_wrap=True)
    for name, reason in found.get("scaling", {}).get("reasons", {}).items():
        console.print(f"{name}: {escape(reason)}", soft_wrap=True)
    for pipeline in pipelines:
        for problem in view.problems(pipeline):
            console.print(f"{pipeline.name}: {escape(problem)}", style="red", soft_wrap=True)
