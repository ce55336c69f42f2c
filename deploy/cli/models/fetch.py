"""`labelstream fetch`: models of the hub into this machine's cache, to be there without a network."""

from typing import Annotated

import typer

from labelstream.deploy.cli.common.console import escape
from labelstream.workers.errors import ConfigError


def fetch(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL[@REVISION]...", help="Of the hub, for example owner/name@COMMIT.")
    ],
) -> None:
    """Download models into the cache that `HF_HOME` names, weights as safetensors only.

    For images with models in them, and for machines that reach no hub: `HF_HUB_OFFLINE=1` runs on what is there.
    """
    from labelstream.workers.engine.loading.hub import resolve
    from labelstream.workers.model_source import is_path

    named = [model.partition("@") for model in models]
    for source, at, revision in named:
        if not source or is_path(source) or bool(at) != bool(revision):
            raise ConfigError(
                "MODEL",
                f"{source + at + revision!r} is no model of the hub",
                "for example owner/name, or owner/name@COMMIT",
            )
    for source, _, revision in named:
        found = resolve(source, revision or None)
        typer.echo(f"{escape(source)}@{found.revision}: {escape(str(found.folder))}")
