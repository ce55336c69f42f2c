"""`labelstream tail`: what stands in a topic, for a person or as JSON lines."""

import sys
from collections import deque
from collections.abc import Iterator
from contextlib import nullcontext
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.common.completion import complete_topic
from labelstream.deploy.cli.common.connect import (
    Bootstrap,
    Broker,
    OptionalConfig,
    connect,
    kafka_settings,
    poll,
    reader,
    require_topic,
)
from labelstream.deploy.cli.common.console import escape_bytes, out, plural, say, stops_on_signals
from labelstream.deploy.cli.topics.record_view import COLUMNS, as_json_line, as_row, columns_of


class From(StrEnum):
    BEGINNING = "beginning"
    END = "end"


def tail(
    topic: Annotated[
        str,
        typer.Argument(help="The topic to read: results, dead letters or any other.", autocompletion=complete_topic),
    ],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes in, until Ctrl-C.")] = False,
    json: Annotated[bool, typer.Option("--json", help="The values as they are, one per line.")] = False,
    most: Annotated[int | None, typer.Option("--max", "-n", min=1, help="Stop after so many messages.")] = None,
    start: Annotated[
        From | None, typer.Option("--from", help="Where to start. Default: beginning; with --follow: end.")
    ] = None,
    bootstrap: Bootstrap = None,
    config: OptionalConfig = None,
) -> None:
    """Show the messages of a topic: results with label and score, dead letters with their reason.

    Without --follow it stops at the end that the topic had at the start. It joins no group and commits nothing.
    """
    kafka = kafka_settings(bootstrap, config)
    with stops_on_signals():
        try:
            broker = connect(kafka)
            require_topic(broker, topic, "READ")
            beginning = (start or (From.END if follow else From.BEGINNING)) is From.BEGINNING
            with reader(broker, [topic], beginning) as consumer, _view(json, follow) as show:
                shown = _copy(broker, consumer, show, follow, most)
        except KeyboardInterrupt:
            return
    if not json:
        say(plural(shown, "message"))


def _copy(broker: Broker, consumer: Any, show: Any, follow: bool, most: int | None) -> int:
    """Show records until `most`, or until the offsets that are the end now; returns how many."""
    shown = 0
    for record in islice(_endless(broker, consumer) if follow else _until_the_end(broker, consumer), most):
        show(record)
        shown += 1
    return shown


def _endless(broker: Broker, consumer: Any) -> Iterator[Any]:
    while True:
        yield from poll(broker, consumer)


def _until_the_end(broker: Broker, consumer: Any) -> Iterator[Any]:
    from labelstream.workers.stream.broker.bounded_reader import read_up_to
    from labelstream.workers.stream.broker.connection import translate_kafka_errors

    with translate_kafka_errors(broker.settings):
        ends = consumer.end_offsets(consumer.assignment())
    yield from read_up_to(broker.settings, consumer, ends)


def _view(json: bool, follow: bool) -> Any:
    """A context that gives the function which shows one record."""
    console = out()
    if json:
        return nullcontext(_print_escaped if console.is_terminal else _write_value)
    if follow and console.is_terminal:
        return _LiveTable(console)
    return nullcontext(_RowPrinter(console.is_terminal))


def _write_value(record: Any) -> None:
    sys.stdout.buffer.write(as_json_line(record) + b"\n")
    sys.stdout.buffer.flush()


def _print_escaped(record: Any) -> None:
    print(escape_bytes(as_json_line(record)), flush=True)


class _RowPrinter:
    """Columns of fixed width for a person, separated by tabs for another program."""

    def __init__(self, terminal: bool) -> None:
        self._terminal = terminal
        if terminal:
            print(columns_of(COLUMNS))

    def __call__(self, record: Any) -> None:
        row = as_row(record)
        print(columns_of(row) if self._terminal else "\t".join(row), flush=True)


class _LiveTable:
    """The latest records, redrawn in place."""

    def __init__(self, console: Any) -> None:
        from rich.live import Live

        self._rows: deque[tuple[str, ...]] = deque(maxlen=max(5, console.height - 7))
        self._count = 0
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=5)

    def __enter__(self) -> Any:
        self._live.__enter__()
        return self._add

    def __exit__(self, *details: Any) -> None:
        self._live.__exit__(*details)

    def _add(self, record: Any) -> None:
        self._rows.append(as_row(record))
        self._count += 1

    def _table(self) -> Any:
        from rich.table import Table

        table = Table(*COLUMNS, caption=f"{plural(self._count, 'message')}; Ctrl-C stops", expand=False)
        for row in tuple(self._rows):
            table.add_row(*row)
        return table
