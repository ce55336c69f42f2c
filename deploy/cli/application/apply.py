"""`labelstream apply` and `labelstream remove`: change a running application and leave it running, or end it."""

import logging
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.application.changes import changes
from labelstream.deploy.cli.application.run import log_progress, look_before, warn_before
from labelstream.deploy.cli.common.connect import ConfigFile, load_config
from labelstream.deploy.cli.common.console import VERBOSITY, escape, say, set_up_logging, stops_on_signals
from labelstream.deploy.cli.common.running import address_of
from labelstream.deploy.cli.common.times import duration_s
from labelstream.deploy.cluster.run_folder import Run, noted_runs, write_note
from labelstream.deploy.cluster.run_note import note_of
from labelstream.deploy.control.deployed import Deployed, Owner, changed, described, is_same_file, new_owner
from labelstream.workers.errors import ConfigError, LabelstreamError, StartError

logger = logging.getLogger(__name__)
CLUSTER = "The Ray cluster that it runs on, HOST:PORT, or `auto` (see `status`)."


def apply(
    config: ConfigFile,
    address: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help=f"{CLUSTER} Default: your `labelstream run` of FILE on this machine."),
    ] = None,
    wait: Annotated[
        str, typer.Option(metavar="DURATION", help="How long it may take until everything runs: 90s, 10m, 1h30m.")
    ] = "30m",
) -> None:
    """Change a running application to what a config file says, and return when everything runs.

    Says what changes, and starts anew only what the change concerns. On a cluster without an application it is
    deployed, and stays there until `labelstream remove`. A `labelstream run` of the same file goes on; one of another
    file ends, with the reason.
    """
    wait_s = duration_s("--wait", wait)
    settings = load_config(config)
    where = address_of(address, config if address is None else None)
    set_up_logging(logging.DEBUG if VERBOSITY.on else logging.INFO)
    run = next((run for run in noted_runs() if run.note.address == where), None)
    with stops_on_signals():
        if run is None:
            warn_before(settings)
        else:
            look_before(settings, None, "nothing is changed")
        _apply(settings, config, where, run, wait_s)


def remove(
    address: Annotated[str, typer.Option(metavar="ADDRESS", help=CLUSTER)],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """End the application on a cluster: its workers finish and commit what they hold, then it is removed.

    A `labelstream run` that watches it ends, with the reason.
    """
    if not (yes or sys.stdin.isatty()):
        raise ConfigError("--yes", "is missing, and there is no terminal to ask on", "add it")
    address_of(address)
    from labelstream.deploy.cluster import runtime

    with runtime.joined(address), stops_on_signals():
        found = runtime.deployed()
        if found is None:
            raise StartError(f"there is no application on the cluster at {address}")
        _require_not_local(found.owner)
        question = f"Remove the application deployed by {escape(described(found.owner))}?"
        if not yes and not typer.confirm(question, err=True):
            say("nothing was removed")
            raise typer.Exit(1)
        say("finishing and committing what is in flight")
        done = runtime.undeploy()
    say("removed" if done else "removed; what was still in flight comes again at the next start")


def _apply(settings: Any, config: Path, address: str, run: Run | None, wait_s: float) -> None:
    from labelstream.deploy.cluster import runtime
    from labelstream.workers.config_file import without_secrets

    started = time.monotonic()
    logger.info("joining Ray at %s", address)
    with runtime.joined(address), stops_on_signals():
        runtime.start_serve(everywhere=run is None)
        found = runtime.deployed()
        if run is not None and found is None:
            raise StartError(f"process {run.note.pid}, which runs {config}, is starting or ending: try again later")
        after = without_secrets(settings)
        owner = _owner_of(found, new_owner("apply", config, local=False), after)
        _say_changes(found, after, owner)
        if found is not None:  # a worker needs its models to finish what it holds
            runtime.drain(without=settings.pipelines)
        try:
            runtime.deploy(settings, wait_s, on_progress=log_progress, owner=owner)
        except LabelstreamError:
            logger.error("what the change concerns does not run now: apply a config that starts, such as the last one")
            raise
        if run is not None:
            kept = {"pid": run.note.pid, "started_at": run.note.started_at}
            write_note(run.folder, replace(note_of(settings, config, address), **kept))
    logger.info("everything runs, %.0f s after the start", time.monotonic() - started)


def _owner_of(found: Deployed | None, ours: Owner, after: dict[str, Any]) -> Owner:
    """Whose the application is when it is changed to `after`. Raises StartError."""
    if found is None or found.owner is None:
        return ours
    if is_same_file(found.owner, ours):
        same = found.config is not None and not changes(found.config, after)
        return found.owner if same else changed(found.owner)
    _require_not_local(found.owner)
    return ours


def _require_not_local(owner: Owner | None) -> None:
    if owner is not None and owner["local"]:
        raise StartError(
            f"that Ray belongs to {described(owner)} and ends with it: stop that by Ctrl-C or SIGTERM, or change its "
            "file and apply that"
        )


def _say_changes(found: Deployed | None, after: dict[str, Any], owner: Owner) -> None:
    if found is None:
        logger.info("nothing runs there yet: all of it is deployed")
        return
    if found.owner is None or found.owner["id"] != owner["id"]:
        logger.warning("this replaces the application of %s", escape(described(found.owner)))
    if found.config is None:
        logger.warning("what ran before gives no answer, so that what changes is not known")
        return
    for line in changes(found.config, after) or ["nothing in the config has changed"]:
        logger.info("%s", escape(line))
