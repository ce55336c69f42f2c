"""`labelstream fetch`: downloads hub models into the cache of this machine, for use without a network."""

from typing import Annotated

import typer

from labelstream.deploy.cli.common.console import escape
from labelstream.workers.errors import ConfigError


def fetch(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL[@REVISION]", help="Hub models, such as owner/name@COMMIT.")
    ],
) -> None:
    """Download models from the Hugging Face hub into the cache at `HF_HOME`, weights as safetensors only.

    Use `fetch` to build images that contain models, or to prepare machines that cannot reach the hub. With
    `HF_HUB_OFFLINE=1` Labelstream uses only the cache.
    """
    from labelstream.workers.engine.loading.hub import resolve
    from labelstream.workers.model_source import is_path

    named = [model.partition("@") for model in models]
    for source, at, revision in named:
        if not source or is_path(source) or bool(at) != bool(revision):
            raise ConfigError(
                "MODEL",
                f"{source + at + revision!r} is not a model of the hub",
                "for example owner/name, or owner/name@COMMIT",
            )
    for source, _, revision in named:
        found = resolve(source, revision or None)
        typer.echo(f"{escape(source)}@{found.revision}: {escape(str(found.folder))}")
