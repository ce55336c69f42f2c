"""Finds the run on this machine that a command addresses: by its config file, or by a pipeline's name."""

import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from labelstream.deploy.cli.common.connect import load_config
from labelstream.deploy.cli.common.console import HINTS, escape, plural, say
from labelstream.deploy.cluster.run_folder import Run, noted_runs, other_owners, starting_runs, use_address, use_run
from labelstream.deploy.cluster.run_note import note_of, resolved
from labelstream.workers.errors import ConfigError, LabelstreamError, StartError

AGAIN_S = 1.0

RunConfig = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="The config file of your run on this machine."),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="The Ray cluster, as HOST:PORT, or `auto` for RAY_ADDRESS or the Ray that you started on this machine. "
        "Default: your run on this machine, see --config.",
    ),
]


def address_of(address: str | None, config: Path | None = None, pipeline: str | None = None, wait_s: float = 0) -> str:
    """`address`, or that of this user's run on this machine. Sets the token of that Ray, too.

    Call this before ray is imported. Waits up to `wait_s` for a run that matches. Raises StartError if there is none,
    ConfigError if there are several; lists the runs on stderr before that.
    """
    if address is not None:
        if config is not None:
            raise ConfigError(
                "--address", "unexpected beside --config, which selects a run on this machine", "give one"
            )
        _use(address)
        return address
    until = time.monotonic() + wait_s
    HINTS.config = config
    while True:
        runs = noted_runs()
        try:
            run = choose(runs, config, pipeline)
            break
        except LabelstreamError as error:
            may_come = not isinstance(error, ConfigError) or error.key == "PIPELINE"  # a run with it may still start
            if not may_come or time.monotonic() > until:
                show_runs(runs)
                raise
        time.sleep(AGAIN_S)
    HINTS.config = HINTS.config or (Path(run.note.config) if run.note.config else None)
    use_run(run)
    return run.address


def choose(runs: Sequence[Run], config: Path | None, pipeline: str | None) -> Run:
    """The only run that matches. Raises StartError if none does, ConfigError if several do."""
    found = list(runs) if config is None else _runs_of(runs, config)
    if not found:
        raise StartError(_starting(config, pipeline) or _nothing(config))
    named = [run for run in found if pipeline in run.note.pipelines]
    if pipeline is not None and config is None and not named:
        if text := _starting(config, pipeline):
            raise StartError(text)
        known = ", ".join(sorted({name for run in found for name in run.note.pipelines}))
        raise ConfigError(
            "PIPELINE", f"no run of yours on this machine has a pipeline {pipeline!r}", f"give one of {known}"
        )
    found = named or found  # a run's note may lack a pipeline that was added later: the control plane knows
    if len(found) > 1:
        ways = ["-c FILE"] * (config is None) + ["a pipeline's name"] * (pipeline is None) + ["--address"]
        raise ConfigError(
            "", f"{plural(len(found), 'run')} on this machine match", f"choose one with {' or '.join(ways)}"
        )
    return found[0]


def show_runs(runs: Sequence[Run]) -> None:
    """List the runs on stderr, three lines each."""
    if runs:
        say("your runs on this machine:")
    for run in runs:
        note = run.note
        say(escape(f"  {note.config or 'without a config file'}"))
        pipelines = f"{plural(len(note.pipelines), 'pipeline')}: {', '.join(note.pipelines)}"
        say(escape(f"    {pipelines if note.pipelines else 'HTTP without pipelines'}"))
        since = datetime.fromtimestamp(note.started_at).isoformat(" ", "seconds")
        say(escape(f"    started by {note.user} at {since}, process {note.pid}, --address {note.address}"))


def _runs_of(runs: Sequence[Run], config: Path) -> list[Run]:
    """The runs of this file, else those with the same pipelines, groups and brokers: the file may have moved.

    Raises ConfigError if no run has this file and the file cannot be read.
    """
    path = resolved(config)
    by_path = [run for run in runs if run.note.config == path]
    if by_path or (not runs and config.is_file()):
        return by_path
    ours = note_of(load_config(config), config, "")
    return [run for run in runs if (run.note.pipelines, run.note.brokers) == (ours.pipelines, ours.brokers)]


def _starting(config: Path | None, pipeline: str | None) -> str | None:
    """The error for a run that is still starting; None if there is none."""
    for note in starting_runs():
        if note.config == resolved(config) if config else pipeline is None or pipeline in note.pipelines:
            return f"{config or note.config} is still starting (process {note.pid}); try again in a moment"
    return None


def _nothing(config: Path | None) -> str:
    whose = "no run of yours on this machine" if config is None else f"no run of {config} on this machine"
    others = f" ({', '.join(owners)} may have one: ask as that user)" if (owners := other_owners()) else ""
    return f"{whose}{others}; start one with `labelstream run -c {config or 'FILE'}`, or give a cluster's --address"


def _use(address: str) -> None:
    """Use the cluster at `address`. A run on this machine needs its token, by its address as well."""
    for run in noted_runs():
        if run.address == address:
            use_run(run)
            return
    use_address(address)
