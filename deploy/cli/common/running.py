"""Which run on this machine a command means: by the config that it was started with, or by a pipeline's name."""

import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from labelstream.deploy.cli.common.connect import load_config
from labelstream.deploy.cli.common.console import escape, plural, say
from labelstream.deploy.cluster.run_folder import Run, noted_runs, other_owners, starting_runs, use_address, use_run
from labelstream.deploy.cluster.run_note import note_of, resolved
from labelstream.workers.errors import ConfigError, LabelstreamError, StartError

AGAIN_S = 1.0

RunConfig = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="The config file of the run that is meant, on this machine."),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="The Ray cluster that it runs on, HOST:PORT, or `auto`: RAY_ADDRESS, or the one that you have started on "
        "this machine. Default: your run on this machine, see --config.",
    ),
]


def address_of(address: str | None, config: Path | None = None, pipeline: str | None = None, wait_s: float = 0) -> str:
    """`address`, or where the run of this user on this machine is that is meant. Its token comes with it.

    To be called before ray is imported. Looks for a run for `wait_s`. Raises StartError where there is none,
    ConfigError where there are several; what runs is said on stderr before that.
    """
    if address is not None:
        if config is not None:
            raise ConfigError("--address", "comes beside --config, which means a run on this machine", "give one")
        _use(address)
        return address
    until = time.monotonic() + wait_s
    while True:
        runs = noted_runs()
        try:
            run = choose(runs, config, pipeline)
            break
        except LabelstreamError as error:
            if isinstance(error, ConfigError) or time.monotonic() > until:
                show_runs(runs)
                raise
        time.sleep(AGAIN_S)
    use_run(run)
    return run.address


def choose(runs: Sequence[Run], config: Path | None, pipeline: str | None) -> Run:
    """The one that is meant. Raises StartError where there is none, ConfigError where there are several."""
    found = list(runs) if config is None else _runs_of(runs, config)
    if not found:
        raise StartError(_starting(config, pipeline) or _nothing(config))
    named = [run for run in found if pipeline in run.note.pipelines]
    if pipeline is not None and config is None and not named:
        if text := _starting(config, pipeline):
            raise StartError(text)
        known = ", ".join(sorted({name for run in found for name in run.note.pipelines}))
        raise ConfigError("PIPELINE", f"nothing on this machine runs a pipeline {pipeline!r}", f"known: {known}")
    found = named or found  # a pipeline that the note of a config's run lacks is its control plane's business
    if len(found) > 1:
        ways = ["-c FILE"] * (config is None) + ["a pipeline's name"] * (pipeline is None) + ["--address"]
        raise ConfigError(
            "", f"{plural(len(found), 'run')} on this machine may be meant", f"choose by {' or '.join(ways)}"
        )
    return found[0]


def show_runs(runs: Sequence[Run]) -> None:
    """On stderr, three lines each."""
    if runs:
        say("your runs on this machine:")
    for run in runs:
        note = run.note
        say(escape(f"  {note.config or 'without a config file'}"))
        say(escape(f"    {plural(len(note.pipelines), 'pipeline')}: {', '.join(note.pipelines)}"))
        since = datetime.fromtimestamp(note.started_at).isoformat(" ", "seconds")
        say(escape(f"    of {note.user} since {since}, process {note.pid}, --address {note.address}"))


def _runs_of(runs: Sequence[Run], config: Path) -> list[Run]:
    """Those that were started with the file, else those of the same pipelines, groups and brokers: it may have moved.

    Raises ConfigError where neither finds one and the file is none.
    """
    path = resolved(config)
    by_path = [run for run in runs if run.note.config == path]
    if by_path or (not runs and config.is_file()):
        return by_path
    ours = note_of(load_config(config), config, "")
    return [run for run in runs if (run.note.pipelines, run.note.brokers) == (ours.pipelines, ours.brokers)]


def _starting(config: Path | None, pipeline: str | None) -> str | None:
    """Says that what is meant is starting; None: it is not."""
    for note in starting_runs():
        if note.config == resolved(config) if config else pipeline is None or pipeline in note.pipelines:
            return f"{config or note.config} is starting in process {note.pid}: try again in a moment"
    return None


def _nothing(config: Path | None) -> str:
    whose = "of yours runs on this machine" if config is None else f"runs on this machine for {config}"
    others = f" ({', '.join(owners)} may have a run here: ask as that user)" if (owners := other_owners()) else ""
    return (
        f"nothing {whose}{others}: start it with `labelstream run -c {config or 'FILE'}`, or name a cluster with "
        "--address"
    )


def _use(address: str) -> None:
    """A run on this machine asks for its token under its address as well."""
    for run in noted_runs():
        if run.address == address:
            use_run(run)
            return
    use_address(address)
