"""`labelstream init`: a config that runs as it is."""

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
import yaml

from labelstream.deploy.cli.common.connect import DEFAULT_BOOTSTRAP
from labelstream.deploy.cli.config.first_config import Choices, render
from labelstream.workers.errors import ConfigError
from labelstream.workers.file_errors import file_problem

_NEXT = (
    ("topics create -c {}", "the topics that are missing"),
    ("check -c {} --connect", "brokers, topics, machine and model"),
    ("run -c {}", "until Ctrl-C"),
)


def init(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", help="The config to write.")] = Path("labelstream.yaml"),
    bootstrap_servers: Annotated[
        str | None,
        typer.Option(
            "--bootstrap-servers",
            "--bootstrap",
            "-b",
            metavar="HOST:PORT",
            help=f"The brokers. Default: asked for in a terminal, else {DEFAULT_BOOTSTRAP}.",
        ),
    ] = None,
    input: Annotated[str, typer.Option(metavar="TOPIC", help="Topic that texts are read from.")] = "feedback.raw",
    output: Annotated[
        str | None,
        typer.Option(
            metavar="TOPIC", help="Topic for the results. Default: like the input, feedback.labels for feedback.raw."
        ),
    ] = None,
    dead_letter: Annotated[
        str | None,
        typer.Option(
            metavar="TOPIC",
            help="Topic for what cannot be classified. Default: like the input, feedback.dlq for feedback.raw.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="SOURCE", help="A directory or a hub id. Default: the demo's model."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a config that runs as it is, with comments for what is changed most.

    With another --input, output and dead letters are called like it: tickets.raw, tickets.labels, tickets.dlq.
    """
    if file.exists() and not force:
        raise ConfigError(str(file), "is there already", "name another file, or give --force to write over it")
    if model is not None and model.startswith((".", "~", os.sep)) and not Path(model).expanduser().is_dir():
        raise ConfigError("--model", f"{Path(model).expanduser().absolute()}: no such directory", "check the path")
    if bootstrap_servers is None and sys.stdin.isatty():
        bootstrap_servers = typer.prompt("Kafka brokers, HOST:PORT", default=DEFAULT_BOOTSTRAP, err=True)
    text = render(Choices(bootstrap_servers or DEFAULT_BOOTSTRAP, input, output, dead_letter, model), file)
    _require_valid(text)
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        fix = "name a file that can be written"
        raise ConfigError(str(file), f"cannot be written ({file_problem(error, file)})", fix) from None
    typer.echo(f"{file} is written. Next:\n")
    commands = [(f"labelstream {command.format(shlex.quote(str(file)))}", what) for command, what in _NEXT]
    width = max(len(command) for command, _ in commands)
    for command, what in commands:
        typer.echo(f"  {command:{width}}   # {what}")


def _require_valid(text: str) -> None:
    """Raises ConfigError for what an option has put into it."""
    from labelstream.workers.config_file import load_settings

    load_settings(yaml.safe_load(text))
