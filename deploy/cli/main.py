"""The entry point: registers all commands, and prints each LabelstreamError as one line, with an exit code.

Exit codes: 0 success; 1 an external cause (broker, topic, model, ...); 2 wrong options or a wrong config;
130 interrupted. No command imports ray, torch or kafka at module level, because `--help` must be fast.
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
from labelstream.deploy.cli.common.console import HINTS, VERBOSITY, escape, one_line, set_up_logging, with_file
from labelstream.deploy.cli.common.examples import examples
from labelstream.deploy.cli.common.value_types import set_value_types
from labelstream.deploy.cli.config.init import init
from labelstream.deploy.cli.demo.command import demo
from labelstream.deploy.cli.dlq.commands import dlq
from labelstream.deploy.cli.evaluation.command import evaluate
from labelstream.deploy.cli.models.cache import cache
from labelstream.deploy.cli.models.classify import classify
from labelstream.deploy.cli.models.fetch import fetch
from labelstream.deploy.cli.models.predict import predict
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

set_value_types()
_ALIASES = {"bootstrap-servers": "bootstrap"}  # Kafka's own name of the option

app = typer.Typer(
    name="labelstream",
    help="Classify the texts of a Kafka topic with models on Ray Serve; write labels and scores to another topic.\n\n"
    "Start with `labelstream demo`: it needs no broker and no download.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda name: _ALIASES.get(name, name),
    },
)
for command, panel in (
    (demo, "Try"),
    (classify, "Try"),
    (predict, "Try"),
    (broker, "Try"),
    (init, "Prepare"),
    (check, "Prepare"),
    (doctor, "Prepare"),
    (schema, "Prepare"),
    (fetch, "Prepare"),
    (run, "Run"),
    (apply, "Run"),
    (status, "Run"),
    (lag, "Run"),
    (remove, "Run"),
    (resume, "Operate"),
    (skip, "Operate"),
    (replay, "Operate"),
    (produce, "Read and write topics"),
    (tail, "Read and write topics"),
    (evaluate, "Measure"),
    (simulate, "Measure"),
):
    app.command(rich_help_panel=panel, epilog=examples(command.__name__))(command)
app.add_typer(cache, rich_help_panel="Prepare")
app.add_typer(topics, rich_help_panel="Prepare")
app.add_typer(dlq, rich_help_panel="Read and write topics")
app.add_typer(bench, rich_help_panel="Measure")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"labelstream {importlib.metadata.version('labelstream')}")
        raise typer.Exit


@app.callback()
def options(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print more log lines, and the traceback of an error.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    VERBOSITY.on = verbose
    set_up_logging(logging.INFO if verbose else logging.WARNING)


def main(arguments: list[str] | None = None) -> None:
    """Run one command (default: the arguments of the process). Always raises SystemExit."""
    VERBOSITY.on, HINTS.config = False, None
    _escape_unencodable()
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
            _fail([f"{error.filename or 'standard output'}: {error.strerror}"], 1)
        hint = "" if VERBOSITY.on else " (a bug in labelstream; `labelstream -v ...` prints the traceback)"
        _fail([f"{type(error).__name__}: {one_line(error)}{hint}"], 1)


def _escape_unencodable() -> None:
    """Print characters that the terminal's encoding lacks as escapes, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fail(lines: list[str], code: int) -> None:
    if VERBOSITY.on and not VERBOSITY.json_logs:
        traceback.print_exc()
    for line in lines:
        if VERBOSITY.json_logs:
            logging.getLogger("labelstream").error("%s", line, exc_info=VERBOSITY.on)
        else:
            print(f"labelstream: {with_file(line)}", file=sys.stderr, flush=True)
    sys.exit(code)
