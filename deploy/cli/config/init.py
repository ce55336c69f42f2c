"""`labelstream init`: writes a config that is ready to run."""

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
import yaml

from labelstream.deploy.cli.common.arguments import ModelSource
from labelstream.deploy.cli.common.connect import DEFAULT_BOOTSTRAP
from labelstream.deploy.cli.config.first_config import Choices, render
from labelstream.workers.errors import ConfigError
from labelstream.workers.file_errors import file_problem

_NEXT = (
    ("topics create -c {}", "creates missing topics"),
    ("check -c {} --connect", "checks brokers, topics, machine and model"),
    ("run -c {}", "runs until Ctrl-C"),
)


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The config file to write.")] = Path("labelstream.yaml"),
    bootstrap_servers: Annotated[
        str | None,
        typer.Option(
            "--bootstrap",
            "-b",
            metavar="HOST:PORT",
            help=f"The brokers. Default: the answer to a prompt, or {DEFAULT_BOOTSTRAP} without a terminal.",
        ),
    ] = None,
    input: Annotated[str, typer.Option(metavar="TOPIC", help="Topic with the texts to classify.")] = "feedback.raw",
    output: Annotated[
        str | None,
        typer.Option(
            metavar="TOPIC", help="Topic for the results. Default: named after the input, such as feedback.labels."
        ),
    ] = None,
    dead_letter: Annotated[
        str | None,
        typer.Option(
            metavar="TOPIC",
            help="Topic for messages that cannot be classified. Default: named after the input, such as feedback.dlq.",
        ),
    ] = None,
    model: ModelSource = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a config file that is ready to run, with comments on the most common settings.

    Output and dead letters are named after the input: tickets.labels and tickets.dlq for --input tickets.raw.
    """
    if file.exists() and not force:
        raise ConfigError(str(file), "already exists", "name another file, or add --force to overwrite it")
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
    typer.echo(f"Wrote {file}. Next:\n")
    commands = [(f"labelstream {command.format(shlex.quote(str(file)))}", what) for command, what in _NEXT]
    width = max(len(command) for command, _ in commands)
    for command, what in commands:
        typer.echo(f"  {command:{width}}   # {what}")


def _require_valid(text: str) -> None:
    """Raises ConfigError if the value of an option makes the config invalid."""
    from labelstream.workers.config_file import load_settings

    load_settings(yaml.safe_load(text))
