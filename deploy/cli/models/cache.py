"""`labelstream cache`: what is kept of models on this machine, and how to get rid of it."""

import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.common.console import escape, out, say
from labelstream.workers.errors import ConfigError, StartError

_DAY_S = 86_400.0
cache = typer.Typer(
    name="cache",
    help="Models of the hub on this machine (`HF_HOME`), and what OpenVINO was given of them.",
    no_args_is_help=True,
)


@dataclass(frozen=True)
class _Kept:
    """`revision`: a commit of the hub, or empty for a converted model. `used_at`: seconds since 1970. `thing`: the
    model's folder, or the cache's entry.
    """

    model: str
    revision: str
    size: int
    used_at: float
    thing: Any = field(repr=False, compare=False)

    @property
    def kind(self) -> str:
        return f"revision {self.revision[:12]}" if self.revision else "converted"


@cache.command("list")
def list_() -> None:
    """List them with their sizes, and when they were used last. Other programs use the hub's cache as well."""
    from rich.table import Table

    found = sorted(_kept(), key=lambda kept: (kept.model, kept.kind))
    if not found:
        say("nothing is kept")
        return
    table = Table("model", "", "MiB", "used", box=None, pad_edge=False)
    for kept in found:
        table.add_row(escape(kept.model), kept.kind, f"{kept.size / 2**20:.1f}", _age(kept.used_at))
    out().print(table)
    say(f"{sum(kept.size for kept in found) / 2**20:.1f} MiB in all")


@cache.command()
def clear(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL]...", help="Models of the hub, with all revisions. Default: none."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete converted models, or with MODEL all that is kept of these. Both come again when needed."""
    found = list(_kept())
    if models:
        known = {kept.model for kept in found if kept.revision}
        for model in models:
            if model not in known:
                raise ConfigError("MODEL", f"{model!r} is not in the cache", "see `labelstream cache list`")
        names = {*models, *(model.replace("/", "--") for model in models)}
        doomed = [kept for kept in found if kept.model in names]
    else:
        doomed = [kept for kept in found if not kept.revision]
    if not doomed:
        say("there is nothing to delete")
        return
    for kept in doomed:
        say(f"{escape(kept.model)}, {kept.kind}: {kept.size / 2**20:.1f} MiB")
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError("--yes", "is missing, and there is no terminal to ask on", "give it")
        if not typer.confirm("Delete these?", err=True):
            raise typer.Exit(1)
    try:
        _delete(doomed)
    except OSError as error:
        raise StartError(f"{error.filename}: {error.strerror}; let its owner delete it") from None
    say(f"deleted: {sum(kept.size for kept in doomed) / 2**20:.1f} MiB")


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
        shutil.rmtree(folder)  # by the folder: another model may have a revision of the same commit
    for kept in doomed:
        if not kept.revision:
            remove(kept.thing)


def _age(used_at: float) -> str:
    days = int((time.time() - used_at) / _DAY_S)
    return {0: "today", 1: "yesterday"}.get(days, f"{days} days ago")
