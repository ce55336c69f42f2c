"""`labelstream dlq`: lists, shows, exports and redrives the dead letters of a pipeline."""

import json as json_
import os
import stat
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from heapq import nlargest
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.common.connect import Broker, ConfigFile, connect, load_pipelines, reader, require_topic
from labelstream.deploy.cli.common.console import escape, out, plural, say, stops_on_signals
from labelstream.deploy.cli.common.console import reasons as counted
from labelstream.deploy.cli.common.examples import examples
from labelstream.deploy.cli.dlq.options import (
    At,
    PipelineName,
    Reasons,
    Since,
    SourceTopic,
    Until,
    choose,
    place,
    selection,
)
from labelstream.deploy.cli.dlq.redrive import redrive
from labelstream.deploy.cli.dlq.view import COLUMNS, as_entry, as_export, as_row, fitted, in_full
from labelstream.workers.errors import ConfigError
from labelstream.workers.file_errors import file_problem

Newest = Annotated[
    int | None,
    typer.Option(
        "--limit", min=1, help="Number of dead letters: the newest, in the order of time. Default: all, by partition."
    ),
]
Limit = Annotated[
    int | None, typer.Option(min=1, help="Maximum number of dead letters. Of a partition, the oldest go first.")
]

dlq = typer.Typer(
    name="dlq",
    help="List, show, export and redrive the dead letters of a pipeline.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@dlq.command("list", epilog=examples("dlq list"))
def list_(
    config: ConfigFile,
    pipeline: PipelineName = None,
    reason: Reasons = None,
    topic: SourceTopic = None,
    since: Since = None,
    until: Until = None,
    at: At = None,
    limit: Newest = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
) -> None:
    """List dead letters: place, time, reason, source record, attempts, and whether they were redriven.

    `list` prints no part of the messages themselves. `show` and `export` do.
    """
    wanted = selection(reason, topic, since, until, at)
    found, redriven = Counter[str](), 0
    terminal, width = out().is_terminal, out().width
    with _letters(config, pipeline, wanted) as (letters, done):
        if limit is not None:
            letters = sorted(nlargest(limit, letters, key=_age_order), key=_age_order)
        if terminal and not json:
            print(fitted(COLUMNS, width))
        for letter in letters:
            is_done = letter.record in done
            found[escape(letter.reason) or "no reason"] += 1
            redriven += is_done
            if json:
                print(json_.dumps(as_entry(letter, is_done)))
            else:
                row = as_row(letter, is_done)
                print(fitted(row, width) if terminal else "\t".join(row))
    if not json:
        say(f"dead letters: {counted(found)}, of which {redriven} redriven")


@dlq.command()
def show(
    where: Annotated[
        str,
        typer.Argument(metavar="PARTITION:OFFSET", help="Place of the dead letter in its topic, as printed by `list`."),
    ],
    config: ConfigFile,
    pipeline: PipelineName = None,
) -> None:
    """Show one dead letter in full: headers, key and value.

    Control characters and bytes that are not UTF-8 are shown as escapes.
    """
    from labelstream.workers.stream.dlq.dead_letters import Selection

    wanted = Selection(places=frozenset({place("PARTITION:OFFSET", where)}))
    with _letters(config, pipeline, wanted, limit=1) as (letters, done):
        letter = next(letters)
        for line in in_full(letter, letter.record in done):
            print(line)


@dlq.command()
def export(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="File to write; - is stdout.")],
    config: ConfigFile,
    pipeline: PipelineName = None,
    reason: Reasons = None,
    topic: SourceTopic = None,
    since: Since = None,
    until: Until = None,
    at: At = None,
    limit: Limit = None,
) -> None:
    """Write whole dead letters to a file: key, value and headers, as one JSON object per line.

    Bytes that are not UTF-8 are written as {"base64": "..."}.
    """
    wanted = selection(reason, topic, since, until, at)
    written = 0
    with _letters(config, pipeline, wanted, limit) as (letters, _), _opened(file) as target:
        safe = escape if target.isatty() else str
        for letter in letters:
            target.write(safe(as_export(letter)) + "\n")
            written += 1
    say(f"exported {plural(written, 'dead letter')}")


dlq.command(epilog=examples("dlq redrive"))(redrive)


def _age_order(letter: Any) -> tuple[int, int, int]:
    return letter.record.timestamp, letter.record.partition, letter.record.offset


@contextmanager
def _letters(config: Path, pipeline: str | None, wanted: Any, limit: int | None = None) -> Iterator[tuple[Any, Any]]:
    """The dead letters that exist now, and the ledger of redrives."""
    from labelstream.workers.stream.dlq.query import bounds_of, find_letters

    chosen = choose(load_pipelines(config), pipeline)
    topic = chosen.pipeline.dead_letter
    with stops_on_signals():
        broker = connect(chosen.kafka)
        require_topic(broker, topic, "READ")
        done = _ledger(broker, topic)
        with reader(broker, [topic], from_beginning=True) as consumer:
            bounds = bounds_of(broker.config, broker.settings, consumer, wanted)
            yield islice(find_letters(broker.settings, consumer, bounds, wanted), limit), done


def _ledger(broker: Broker, topic: str) -> Any:
    from labelstream.workers.stream.broker.connection import is_in_memory
    from labelstream.workers.stream.dlq.ledger import RedriveLedger, ledger_topic, peek_ledger

    if is_in_memory(broker.config):  # it has no redrives, and would create the topic
        return RedriveLedger()
    return peek_ledger(broker.config, broker.settings, ledger_topic(topic))


def _opened(file: str) -> Any:
    if file == "-":
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
        return nullcontext(sys.stdout)
    try:
        return open(file, "w", encoding="utf-8", opener=_private)
    except OSError as error:
        raise ConfigError(
            file, f"cannot be written ({file_problem(error, file)})", "give another file, or - for stdout"
        ) from None


def _private(file: str, flags: int) -> int:
    """Open `file` with access for its owner alone, even if it exists: it gets texts and keys of messages."""
    descriptor = os.open(file, flags, 0o600)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.fchmod(descriptor, 0o600)
    return descriptor
