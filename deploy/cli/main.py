"""The entry point: all commands, and every error of ours as one line with an exit code.

Exit codes: 0 all well, 1 something outside is wrong (broker, topic, model, ...), 2 the call or the config is wrong,
130 interrupted before the work was done. Nothing here or at the top of a command's file imports ray, torch or kafka:
the help must be there at once.
"""

import errno
import importlib.metadata
import io
import logging
import sys
import traceback
from typing import Annotated

import typer

from labelstream.deploy.cli.application.apply import apply, remove
from labelstream.deploy.cli.application.check import check
from labelstream.deploy.cli.application.doctor import doctor
from labelstream.deploy.cli.application.run import run
from labelstream.deploy.cli.application.status import status
from labelstream.deploy.cli.bench.commands import bench
from labelstream.deploy.cli.bench.simulate import simulate
from labelstream.deploy.cli.common.console import VERBOSITY, escape, one_line, set_up_logging
from labelstream.deploy.cli.config.init import init
from labelstream.deploy.cli.demo.command import demo
from labelstream.deploy.cli.dlq.commands import dlq
from labelstream.deploy.cli.models.cache import cache
from labelstream.deploy.cli.models.classify import classify
from labelstream.deploy.cli.models.fetch import fetch
from labelstream.deploy.cli.operate.lag import lag
from labelstream.deploy.cli.operate.replay import replay
from labelstream.deploy.cli.operate.resume_skip import resume, skip
from labelstream.deploy.cli.topics.create import topics
from labelstream.deploy.cli.topics.in_memory_broker import broker
from labelstream.deploy.cli.topics.produce import produce
from labelstream.deploy.cli.topics.schema import schema
from labelstream.deploy.cli.topics.tail import tail
from labelstream.workers.core_dumps import forbid_core_dumps
from labelstream.workers.errors import ConfigError, LabelstreamError

app = typer.Typer(
    name="labelstream",
    help="Classify the texts of a Kafka topic: Kafka in, models on Ray Serve, labels and scores back to Kafka.\n\n"
    "Start with `labelstream demo`: it needs no broker and no download.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command, panel in (
    (demo, "Try it"),
    (classify, "Try it"),
    (broker, "Try it"),
    (init, "Run it"),
    (check, "Run it"),
    (doctor, "Run it"),
    (fetch, "Run it"),
    (simulate, "Run it"),
    (run, "Run it"),
    (apply, "Run it"),
    (status, "Run it"),
    (lag, "Run it"),
    (remove, "Run it"),
    (resume, "Put it right"),
    (skip, "Put it right"),
    (replay, "Put it right"),
    (produce, "Look at topics"),
    (tail, "Look at topics"),
    (schema, "Look at topics"),
):
    app.command(rich_help_panel=panel)(command)
app.add_typer(cache, rich_help_panel="Run it")
app.add_typer(topics, rich_help_panel="Run it")
app.add_typer(dlq, rich_help_panel="Look at topics")
app.add_typer(bench, rich_help_panel="Try it")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"labelstream {importlib.metadata.version('labelstream')}")
        raise typer.Exit


@app.callback()
def options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="More log lines, and tracebacks of errors.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    VERBOSITY.on = verbose
    set_up_logging(logging.INFO if verbose else logging.WARNING)


def main(arguments: list[str] | None = None) -> None:
    """Run one command (that of the process by default) and end with SystemExit, whatever happens."""
    VERBOSITY.on = False
    _print_anything()
    forbid_core_dumps()
    try:
        app(args=arguments)
    except ConfigError as error:
        _fail([escape(" ".join(line.split())) for line in error.lines], 2)
    except LabelstreamError as error:
        _fail([one_line(error)], 1)
    except KeyboardInterrupt:
        _fail(["interrupted"], 130)
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            _fail([f"{error.filename or 'the output'}: {error.strerror}"], 1)
        hint = "" if VERBOSITY.on else " (a bug; `labelstream -v ...` shows where)"
        _fail([f"{type(error).__name__}: {one_line(error)}{hint}"], 1)


def _print_anything() -> None:
    """What the terminal's encoding lacks comes as an escape, and ends no command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fail(lines: list[str], code: int) -> None:
    if VERBOSITY.on:
        traceback.print_exc()
    for line in lines:
        print(f"labelstream: {line}", file=sys.stderr, flush=True)
    sys.exit(code)
