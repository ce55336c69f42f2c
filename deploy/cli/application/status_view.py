"""Formats the control plane's numbers: a row or a block per pipeline, a line per model. Pure; no Ray."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from labelstream.deploy.cli.common.console import escape, number, plural, reasons, with_file
from labelstream.deploy.cli.common.times import shown_ms, shown_s
from labelstream.deploy.control.reports import Status
from labelstream.deploy.control.summary import ModelView, PipelineView, http_view, problems

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Table
    from rich.text import Text

PIPELINE_COLUMNS = (
    "pipeline",
    "workers",
    "state",
    "in/s",
    "out/s",
    "results",
    "skipped",
    "dead letters",
    "lag",
    "oldest",
    "in flight",
    "p50",
    "p99",
)
# The numbers of a block: four per line in a terminal of 80 columns.
NUMBERS = ("in/s", "out/s", "results", "in flight", "lag", "oldest", "p50", "p99")
NUMBER_WIDTH, INDENT = 18, 2
ANY_WIDTH = 10_000


def cells(view: PipelineView) -> tuple[str, ...]:
    """The cells of a pipeline's row, in the order of `PIPELINE_COLUMNS`."""
    return (
        view.name,
        str(view.workers),
        view.state,
        f"{view.in_rate:.0f}",
        f"{view.out_rate:.0f}",
        str(view.results),
        reasons(view.skipped),
        reasons(view.dead_letters),
        number(view.lag),
        shown_s(view.oldest_s),
        str(view.in_flight),
        shown_ms(view.p50_ms),
        shown_ms(view.p99_ms),
    )


class Overview:
    """Renders a table of the pipelines if the terminal is wide enough, else a block of lines for each pipeline.

    Nothing is cut: long values are wrapped.
    """

    def __init__(self, pipelines: Iterable[PipelineView]) -> None:
        self._rows = [cells(pipeline) for pipeline in pipelines]

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        table = _table(self._rows)
        if console.measure(table, options=options.update(max_width=ANY_WIDTH)).maximum <= options.max_width:
            yield table
            return
        for row in self._rows:
            yield from _block(dict(zip(PIPELINE_COLUMNS, row, strict=True)))


def _table(rows: Iterable[tuple[str, ...]]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    made = Table(*PIPELINE_COLUMNS)
    for row in rows:
        made.add_row(*(Text(escape(cell)) for cell in row))
    return made


def _block(row: Mapping[str, str]) -> "Iterator[RenderableType]":
    from rich.columns import Columns
    from rich.padding import Padding
    from rich.text import Text

    state = f": {row['state']}" if row["state"] else ""
    head = (escape(row["pipeline"]), "bold"), f"{state}, {plural(row['workers'], 'worker')}"
    yield Text.assemble(*head, overflow="fold")
    numbers = [Text.assemble((name, "dim"), f" {row[name]}", overflow="fold") for name in NUMBERS]
    for text in numbers:
        text.pad_right(NUMBER_WIDTH - text.cell_len)
    whole = [
        Text.assemble((name, "dim"), f" {escape(row[name])}", overflow="fold")
        for name in ("skipped", "dead letters")
        if name == "dead letters" or row[name] != "0"
    ]
    for part in (Columns(numbers), *whole):
        yield Padding(part, (0, 0, 0, INDENT))


def problem_lines(pipelines: Iterable[PipelineView]) -> "list[Text]":
    """One line for each problem of the pipelines."""
    from rich.text import Text

    return [
        Text(f"{escape(pipeline.name)}: {with_file(escape(problem))}", style="red", overflow="fold")
        for pipeline in pipelines
        for problem in problems(pipeline)
    ]


def line(view: PipelineView) -> str:
    """A pipeline as one log line."""
    wrong = "".join(f"; {text}" for text in problems(view))
    skipped = f"skipped {reasons(view.skipped)}, " if view.skipped else ""
    return (
        f"{view.name}: {view.state and f'{view.state}, '}{plural(view.workers, 'worker')}, in {view.in_rate:.0f}/s, "
        f"out {view.out_rate:.0f}/s, results {view.results}, {skipped}dead letters {reasons(view.dead_letters)}, "
        f"lag {number(view.lag)}, oldest {shown_s(view.oldest_s)}, in flight {view.in_flight}, "
        f"p50 {shown_ms(view.p50_ms)}, p99 {shown_ms(view.p99_ms)}"
        f"{wrong}"
    )


def model_line(view: ModelView) -> str:
    """A model as one line."""
    wanted = f" ({view.wanted} wanted)" if view.wanted not in (None, view.replicas) else ""
    return (
        f"model {view.name}: {plural(view.replicas, 'replica')}{wanted}, {view.sequence_rate:.0f} sequences/s, "
        f"{view.busy:.0%} busy"
    )


def http_lines(status: Status) -> list[str]:
    """The gateway as one line; none without HTTP."""
    view = http_view(status)
    if view is None:
        return []
    return [
        f"http: {plural(view.replicas, 'gateway replica')}, {plural(view.requests, 'request')}, "
        f"{view.in_flight} in flight, {view.refused} refused with 429, {view.failed} failed with 5xx"
    ]
