"""A progress bar on the terminal, for commands that read a file."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from labelstream.deploy.cli.common.console import err
from labelstream.deploy.cli.common.text_file import TextFile

T = TypeVar("T")
_EVERY = 512


def with_progress(file: TextFile, items: Iterable[T], noun: str) -> Iterator[T]:
    """Yield the items with a progress bar: the share of a file's bytes, or a count alone for a pipe. `noun`: plural."""
    console = err()
    if not console.is_terminal or file.is_terminal:
        yield from items
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), TextColumn(f"{{task.fields[count]}} {noun}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=file.size_bytes, count=0)
        for count, item in enumerate(items, 1):
            if count % _EVERY == 0:
                progress.update(task, completed=file.position_bytes, count=count)
            yield item
