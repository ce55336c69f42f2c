"""`labelstream apply` and `labelstream remove`: change a running application, or end it."""

import logging
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.application.changes import changes
from labelstream.deploy.cli.application.run import log_progress, look_before, warn_before, with_page
from labelstream.deploy.cli.common.connect import ConfigFile, load_config
from labelstream.deploy.cli.common.console import VERBOSITY, escape, say, set_up_logging, stops_on_signals
from labelstream.deploy.cli.common.running import address_of
from labelstream.deploy.cli.common.times import duration_s
from labelstream.deploy.cluster.run_folder import Run, noted_runs, write_note
from labelstream.deploy.cluster.run_note import note_of
from labelstream.deploy.control.deployed import Deployed, Owner, changed, described, is_same_file, new_owner
from labelstream.workers.errors import ConfigError, LabelstreamError, StartError

logger = logging.getLogger(__name__)
CLUSTER = "The Ray cluster, as HOST:PORT, or `auto` (see `labelstream status --help`)."


def apply(
    config: ConfigFile,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help=f"{CLUSTER} Default: your `labelstream run` of the same file on this machine."
        ),
    ] = None,
    wait: Annotated[
        str, typer.Option(metavar="DURATION", help="Time limit until everything runs, such as 90s, 10m or 1h30m.")
    ] = "30m",
) -> None:
    """Change a running application to match a config file, and return when everything runs.

    Prints the changes, and restarts only the models and pipelines that they concern. Deploys the application on a
    cluster that has none; the application then runs until `labelstream remove`. A `labelstream run` of the same file
    continues with the changes. A `labelstream run` of another file ends.
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
            look_before(settings, None, "nothing is changed", runs=True)
        _apply(settings, config, where, run, wait_s)


def remove(
    address: Annotated[str, typer.Option(metavar="ADDRESS", help=CLUSTER)],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Stop and remove the application on a cluster, after its workers commit what is in flight.

    A `labelstream run --address` of this application ends, too.
    """
    if not (yes or sys.stdin.isatty()):
        raise ConfigError("--yes", "is missing, and there is no terminal to ask on", "add --yes")
    address_of(address)
    from labelstream.deploy.cluster import runtime
    from labelstream.deploy.cluster.application import control_client, removal

    with runtime.joined(address), stops_on_signals():
        found = control_client.deployed()
        if found is None:
            raise StartError(f"the cluster at {address} has no application; `labelstream apply` deploys one")
        _require_not_local(found.owner)
        question = f"Remove the application deployed by {escape(described(found.owner))}?"
        if not yes and not typer.confirm(question, err=True):
            say("nothing was removed")
            raise typer.Exit(1)
        say("finishing and committing what is in flight")
        done = removal.undeploy()
    say("removed" if done else "removed; messages that were still in flight are read again at the next start")


def _apply(settings: Any, config: Path, address: str, run: Run | None, wait_s: float) -> None:
    from labelstream.deploy.cluster import runtime
    from labelstream.deploy.cluster.application import control_client, removal, rollout
    from labelstream.workers.config_file import without_secrets

    started = time.monotonic()
    logger.info("joining Ray at %s", address)
    with runtime.joined(address), stops_on_signals():
        found, ours = control_client.deployed(), new_owner("apply", config, local=False)
        settings = _with_kept_page(settings, found, ours)
        runtime.start_serve(settings, everywhere=run is None)
        if run is not None and found is None:
            raise StartError(
                f"process {run.note.pid}, which runs {config}, is starting or ending; try again in a moment"
            )
        after = without_secrets(settings)
        owner = _owner_of(found, ours, after)
        _say_changes(found, after, owner)
        if found is not None:  # workers and the gateway need their models to finish what is in flight
            removal.drain(without=settings.pipelines, gateway=settings.http is None)
        try:
            rollout.deploy(settings, wait_s, on_progress=log_progress, owner=owner)
        except LabelstreamError:
            logger.error("the changed models and pipelines are down; apply a config that starts, such as the last one")
            raise
        if run is not None:
            kept = {"pid": run.note.pid, "started_at": run.note.started_at}
            write_note(run.folder, replace(note_of(settings, config, address), **kept))
    logger.info("everything runs, %.0f s after the start", time.monotonic() - started)


def _with_kept_page(settings: Any, found: Deployed | None, ours: Owner) -> Any:
    """`settings` with the page that `labelstream run --page` of the same file asked for."""
    owner = None if found is None else found.owner
    if owner is None or not owner.get("page") or not is_same_file(owner, ours):
        return settings
    if settings.http is None or not settings.http.page:
        logger.info("http.page stays on, because of `labelstream run --page`")
    return with_page(settings)


def _owner_of(found: Deployed | None, ours: Owner, after: dict[str, Any]) -> Owner:
    """The owner of the application after the change to `after`. Raises StartError."""
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
            f"this Ray belongs to {described(owner)} and ends with that command; stop the command with Ctrl-C or "
            "SIGTERM, or change its config file and apply that file"
        )


def _say_changes(found: Deployed | None, after: dict[str, Any], owner: Owner) -> None:
    if found is None:
        logger.info("the cluster has no application yet: deploying all of the config")
        return
    if found.owner is None or found.owner["id"] != owner["id"]:
        logger.warning("replacing the application of %s", escape(described(found.owner)))
    if found.config is None:
        logger.warning("the running application does not answer, so the changes cannot be listed")
        return
    for line in changes(found.config, after) or ["the config has not changed"]:
        logger.info("%s", escape(line))
