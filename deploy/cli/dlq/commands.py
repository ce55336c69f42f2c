"""`labelstream dlq`: look at a pipeline's dead letters, take them out, and send them back."""

import json as json_
import os
import stat
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.common.connect import Broker, ConfigFile, connect, load_config, reader, require_topic
from labelstream.deploy.cli.common.console import escape, out, plural, say, stops_on_signals
from labelstream.deploy.cli.common.console import reasons as counted
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
from labelstream.deploy.cli.dlq.view import COLUMNS, WIDTHS, as_entry, as_export, as_row, in_full
from labelstream.deploy.cli.topics.record_view import columns_of
from labelstream.workers.errors import ConfigError, StartError
from labelstream.workers.file_errors import file_problem

Limit = Annotated[int | None, typer.Option(min=1, help="Stop after so many.")]

dlq = typer.Typer(
    name="dlq",
    help="Look at the dead letters of a pipeline, and send them back.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@dlq.command("list")
def list_(
    config: ConfigFile,
    pipeline: PipelineName = None,
    reason: Reasons = None,
    topic: SourceTopic = None,
    since: Since = None,
    until: Until = None,
    at: At = None,
    limit: Limit = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """List dead letters: where, when, why, made of which record, and whether they were redriven.

    Nothing of the messages themselves is printed; `show` and `export` do that.
    """
    wanted = selection(reason, topic, since, until, at)
    found, redriven = Counter[str](), 0
    terminal = out().is_terminal
    with _letters(config, pipeline, wanted, limit) as (letters, done):
        if terminal and not json:
            print(columns_of(COLUMNS, WIDTHS))
        for letter in letters:
            is_done = letter.record in done
            found[escape(letter.reason) or "no reason"] += 1
            redriven += is_done
            if json:
                print(json_.dumps(as_entry(letter, is_done)))
            else:
                row = as_row(letter, is_done)
                print(columns_of(row, WIDTHS) if terminal else "\t".join(row))
    if not json:
        say(f"dead letters: {counted(found)}, of which {redriven} redriven")


@dlq.command()
def show(
    where: Annotated[str, typer.Argument(metavar="PARTITION:OFFSET", help="Its place in the dead-letter topic.")],
    config: ConfigFile,
    pipeline: PipelineName = None,
) -> None:
    """Show one dead letter in full: headers, key and value.

    Control characters and bytes that are not UTF-8 are printed as escapes.
    """
    from labelstream.workers.stream.dlq.dead_letters import Selection

    partition, offset = place("PARTITION:OFFSET", where)
    wanted = Selection(places=frozenset({(partition, offset)}))
    with _letters(config, pipeline, wanted, limit=1) as (letters, done):
        letter = next(letters, None)
        if letter is None:
            raise StartError(
                f"there is no dead letter at offset {offset} of partition {partition}; "
                "`labelstream dlq list` prints those that are there"
            )
        for line in in_full(letter, letter.record in done):
            print(line)


@dlq.command()
def export(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="Where to write; - is stdout.")],
    config: ConfigFile,
    pipeline: PipelineName = None,
    reason: Reasons = None,
    topic: SourceTopic = None,
    since: Since = None,
    until: Until = None,
    at: At = None,
    limit: Limit = None,
) -> None:
    """Write dead letters as they are, key, value and headers, one JSON object per line.

    Text that is not UTF-8 stands as {"base64": "..."}.
    """
    wanted = selection(reason, topic, since, until, at)
    written = 0
    with _letters(config, pipeline, wanted, limit) as (letters, _), _opened(file) as target:
        safe = escape if target.isatty() else str
        for letter in letters:
            target.write(safe(as_export(letter)) + "\n")
            written += 1
    say(plural(written, "dead letter"))


dlq.command()(redrive)


@contextmanager
def _letters(config: Path, pipeline: str | None, wanted: Any, limit: int | None) -> Iterator[tuple[Any, Any]]:
    """The dead letters that are there now, and the ledger that tells which were redriven."""
    from labelstream.workers.stream.dlq.query import bounds_of, find_letters

    chosen = choose(load_config(config), pipeline)
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

    if is_in_memory(broker.config):  # which would make the topic, and has no redrives
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
            file, f"cannot be written ({file_problem(error, file)})", "give a file, or - for stdout"
        ) from None


def _private(file: str, flags: int) -> int:
    """Opens `file`, which gets messages' texts and keys: for its owner alone, also where it was there before."""
    descriptor = os.open(file, flags, 0o600)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.fchmod(descriptor, 0o600)
    return descriptor
