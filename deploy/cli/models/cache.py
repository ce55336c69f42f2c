"""`labelstream cache`: lists and deletes the models that are kept on this machine."""

import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.common.console import escape, say
from labelstream.workers.errors import ConfigError, StartError

_DAY_S = 86_400.0
_LINE = "{:>8}  {:12}  {:12}  {}"
cache = typer.Typer(
    name="cache",
    help="List or delete models on this machine (`HF_HOME`): from the hub, and converted for OpenVINO.",
    no_args_is_help=True,
)


@dataclass(frozen=True)
class _Kept:
    """`revision`: a commit of the hub; empty for a converted model. `used_at`: seconds since 1970.

    `thing`: the model's folder in the hub's cache, or the entry in the cache of converted models.
    """

    model: str
    revision: str
    size: int
    used_at: float
    thing: Any = field(repr=False, compare=False)

    @property
    def kind(self) -> str:
        return self.revision[:12] or "converted"


@cache.command("list")
def list_() -> None:
    """List models with their sizes and their last use. Other programs may use the models of the hub, too."""
    found = sorted(_kept(), key=lambda kept: (kept.model, kept.kind))
    if not found:
        say("the cache is empty")
        return
    typer.echo(_LINE.format("MiB", "used", "revision", "model"))
    for kept in found:
        name = shlex.quote(escape(kept.model))
        typer.echo(_LINE.format(f"{kept.size / 2**20:.1f}", _age(kept.used_at), kept.kind, name))
    say(f"{sum(kept.size for kept in found) / 2**20:.1f} MiB in all")


@cache.command()
def clear(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODEL", help="Models as `cache list` prints them. Default: all converted models."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
) -> None:
    """Delete converted models; with MODEL, these models with all revisions and conversions.

    Labelstream downloads or converts a deleted model again when it is needed.
    """
    found = list(_kept())
    if models:
        known = {kept.model for kept in found}
        for model in models:
            if not known & _names(model):
                raise ConfigError("MODEL", f"{model!r} is not in the cache", "see `labelstream cache list`")
        doomed = [kept for kept in found if kept.model in set().union(*map(_names, models))]
    else:
        doomed = [kept for kept in found if not kept.revision]
    if not doomed:
        say("nothing to delete")
        return
    for kept in doomed:
        say(f"{escape(kept.model)}, {kept.kind}: {kept.size / 2**20:.1f} MiB")
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError("--yes", "is missing, and there is no terminal to ask on", "add --yes")
        if not typer.confirm("Delete these?", err=True):
            raise typer.Exit(1)
    try:
        _delete(doomed)
    except OSError as error:
        raise StartError(f"{error.filename}: cannot be deleted ({error.strerror}); let its owner delete it") from None
    say(f"deleted {sum(kept.size for kept in doomed) / 2**20:.1f} MiB")


def _names(model: str) -> set[str]:
    """The names in the cache of a hub model or a directory."""
    names = {model, str(Path(model).expanduser().absolute())}
    return names | {name.replace("/", "--") for name in names}  # entries of older versions


def _kept() -> Iterator[_Kept]:
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    from labelstream.workers.engine.backends.openvino.cache import entries

    try:
        repositories = scan_cache_dir().repos
    except CacheNotFound:
        repositories = frozenset()
    for repository in repositories:
        if repository.repo_type == "model":
            for revision in repository.revisions:
                used_at = max((file.blob_last_accessed for file in revision.files), default=revision.last_modified)
                yield _Kept(
                    repository.repo_id, revision.commit_hash, revision.size_on_disk, used_at, repository.repo_path
                )
    for entry in entries():
        yield _Kept(entry.model, "", entry.size, entry.used_at, entry)


def _delete(doomed: list[_Kept]) -> None:
    """Raises OSError."""
    from labelstream.workers.engine.backends.openvino.cache import remove

    for folder in {kept.thing for kept in doomed if kept.revision}:
        shutil.rmtree(folder)  # by folder: another model may have the same commit
    for kept in doomed:
        if not kept.revision:
            remove(kept.thing)


def _age(used_at: float) -> str:
    days = int((time.time() - used_at) / _DAY_S)
    return {0: "today", 1: "yesterday"}.get(days, f"{days} days ago")
