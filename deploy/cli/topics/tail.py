"""`labelstream tail`: shows the records of a topic, as a table or as JSON lines."""

import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.common.completion import complete_pipeline_or_topic
from labelstream.deploy.cli.common.connect import (
    Bootstrap,
    Broker,
    OptionalConfig,
    connect,
    kafka_settings,
    load_config,
    reader,
    require_topic,
)
from labelstream.deploy.cli.common.console import (
    escape_bytes,
    out,
    plural,
    say,
    shorten,
    shorten_start,
    stops_on_signals,
)
from labelstream.deploy.cli.common.times import time_ms
from labelstream.deploy.cli.topics.record_range import BATCH, Batch, RecordRange
from labelstream.deploy.cli.topics.record_view import COLUMNS, NARROW_WIDTHS, WIDE, WIDTHS, as_row, columns_of
from labelstream.deploy.cli.topics.source_texts import SourceText, as_cell, json_with_text, source_texts
from labelstream.workers.errors import ConfigError

NEWEST = 10  # messages, as in Unix' tail
Show = Callable[[Any, SourceText], None]


def tail(
    name: Annotated[
        str,
        typer.Argument(
            metavar="PIPELINE|TOPIC",
            help="A topic; or a pipeline of the config, which means its output topic. A pipeline goes before a topic "
            "of the same name.",
            autocompletion=complete_pipeline_or_topic,
        ),
    ],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Then show new messages until Ctrl-C.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the unchanged values, one per line.")] = False,
    max_: Annotated[
        int | None,
        typer.Option(
            "--max",
            "-n",
            min=0,
            help="Number of messages: the newest, or the oldest with --from-beginning. Default: 10, but all with "
            "--since or --from-beginning.",
        ),
    ] = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Show all messages, the oldest first.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only messages since this time: 10m, 2h, 3d ago, or ISO 8601 (UTC)."),
    ] = None,
    with_text: Annotated[
        bool, typer.Option("--with-text", help="Show the text of each result, read from its input topic.")
    ] = False,
    bootstrap: Bootstrap = None,
    config: OptionalConfig = None,
) -> None:
    """Show the newest records of a topic: results with label and score, dead letters with their reason.

    The newest record is the last line. The command joins no consumer group and commits nothing.
    """
    since_ms = None if since is None else time_ms("--since", since)
    if since and from_beginning:
        raise ConfigError("--since", "unexpected beside --from-beginning", "give one of the two")
    newest = NEWEST if max_ is None and not (since or from_beginning) else None if from_beginning else max_
    settings = load_config(config) if config and not bootstrap else None
    kafka = kafka_settings(bootstrap, config) if settings is None else settings.required_kafka
    topic, known = (name, []) if settings is None else _topic_of(name, settings)
    note = ""
    with stops_on_signals():
        try:
            broker = connect(kafka, named=bool(bootstrap or config))
            require_topic(broker, topic, "READ", known)
            with reader(broker, [topic], from_beginning=True) as consumer, _texts(broker, settings, with_text) as texts:
                records = RecordRange(broker, consumer)
                if since_ms is not None:
                    records.start_at(since_ms)
                with _view(json, follow, with_text) as show:
                    if newest is None:
                        batches = records.and_new(from_start=True) if follow else records.all()
                        shown = _copy(_limited(batches, max_), texts, show)
                    else:
                        found, has_older = records.newest(newest)
                        note = ", the newest; --from-beginning shows all" if has_older and max_ is None else ""
                        shown = _copy((found[at : at + BATCH] for at in range(0, newest, BATCH)), texts, show)
                        shown += _copy(records.and_new(from_start=False), texts, show) if follow else 0
        except KeyboardInterrupt:
            return
    if note or not json:
        say(f"{plural(shown, 'message')}{note}")


def _topic_of(name: str, settings: Any) -> tuple[str, list[str]]:
    """The topic that `name` means, and all topics of the config. A pipeline goes before a topic of the same name."""
    from labelstream.workers.stream.broker.topics import named_topics

    pipelines = settings.pipelines
    known = list(dict.fromkeys(topic for pipeline in pipelines.values() for topic in named_topics(pipeline)))
    if name not in pipelines:
        return name, known
    output = pipelines[name].output
    if name in known and name != output:
        say(f"note: {name} is a pipeline and a topic: showing the pipeline's output {output}; --bootstrap shows topics")
    return output, known


def _copy(batches: Iterator[Batch], texts_of: Callable[[Batch], list[SourceText]], show: Show) -> int:
    """Returns the number of records."""
    shown = 0
    for batch in batches:
        for record, text in zip(batch, texts_of(batch), strict=True):
            show(record, text)
        shown += len(batch)
    return shown


@contextmanager
def _texts(broker: Broker, settings: Any, with_text: bool) -> Iterator[Callable[[Batch], list[SourceText]]]:
    if not with_text:
        yield lambda batch: [SourceText()] * len(batch)
        return
    with source_texts(broker, () if settings is None else settings.pipelines.values()) as texts:
        yield texts.of


def _limited(batches: Iterator[Batch], limit: int | None) -> Iterator[Batch]:
    """The batches of the first `limit` records."""
    for batch in batches:
        if limit is not None and len(batch) >= limit:
            yield batch[:limit]
            return
        limit = None if limit is None else limit - len(batch)
        yield batch


def _view(json: bool, follow: bool, with_text: bool) -> Any:
    """A context manager for the function that shows one record and its text."""
    console = out()
    if json:
        return nullcontext(_print_escaped if console.is_terminal else _write_value)
    if follow and console.is_terminal:
        return _LiveTable(console, with_text)
    return nullcontext(_RowPrinter(console, with_text))


def _write_value(record: Any, text: SourceText) -> None:
    sys.stdout.buffer.write(json_with_text(record, text) + b"\n")
    sys.stdout.buffer.flush()


def _print_escaped(record: Any, text: SourceText) -> None:
    print(escape_bytes(json_with_text(record, text)), flush=True)


class _RowPrinter:
    """On a terminal: columns that fit its width. In a pipe: uncut cells between tabs."""

    def __init__(self, console: Any, with_text: bool) -> None:
        self._terminal, self._with_text = console.is_terminal, with_text
        self._widths = _widths(console, with_text, gaps=6 if with_text else 10)
        if self._terminal:
            print(columns_of(_columns(with_text), self._widths))

    def __call__(self, record: Any, text: SourceText) -> None:
        if self._terminal:
            print(_fitted(_cells(record, text, self._with_text), self._widths), flush=True)
        else:
            print("\t".join([*as_row(record), *([as_cell(text)] if self._with_text else [])]), flush=True)


class _LiveTable:
    """The latest records, redrawn in place."""

    def __init__(self, console: Any, with_text: bool) -> None:
        from rich.live import Live

        self._with_text, self._widths = with_text, _widths(console, with_text, gaps=13)
        self._rows: deque[tuple[str, ...]] = deque(maxlen=max(5, console.height - 7))
        self._count = 0
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=5)

    def __enter__(self) -> Any:
        self._live.__enter__()
        return self._add

    def __exit__(self, *details: Any) -> None:
        self._live.__exit__(*details)

    def _add(self, record: Any, text: SourceText) -> None:
        cells = _cells(record, text, self._with_text)
        self._rows.append(tuple(map(shorten, cells, self._widths)) if self._with_text else cells)
        self._count += 1

    def _table(self) -> Any:
        from rich.table import Table

        caption = f"{plural(self._count, 'message')}; Ctrl-C stops"
        table = Table(*_columns(self._with_text), caption=caption, expand=False)
        for row in tuple(self._rows):
            table.add_row(*row)
        return table


def _columns(with_text: bool) -> tuple[str, ...]:
    return ("label", "score", "source", "text") if with_text else COLUMNS


def _cells(record: Any, text: SourceText, with_text: bool) -> tuple[str, ...]:
    row = as_row(record)
    if not with_text:
        return row
    place, _, value = row[-1].partition(" ")  # a record that is no result
    return row[0], row[1], place, value if text == SourceText() else as_cell(text)


def _widths(console: Any, with_text: bool, gaps: int) -> tuple[int, ...]:
    """The last column gets the rest of the terminal's width. `gaps`: columns between the cells."""
    others = (19, 6, 20) if with_text else WIDTHS if console.width >= WIDE else NARROW_WIDTHS
    return (*others, max(20, console.width - sum(others) - gaps))


def _fitted(cells: tuple[str, ...], widths: tuple[int, ...]) -> str:
    """One line of the terminal. A long source keeps its partition and offset."""
    *others, last = cells
    if set(others[1:]) == {"-"}:  # no result: its value gets the empty columns, too
        return columns_of((others[0], last), (widths[0], sum(widths[1:]) + 2 * (len(widths) - 2)))
    return columns_of((*others, last if " " in last else shorten_start(last, widths[-1])), widths)
