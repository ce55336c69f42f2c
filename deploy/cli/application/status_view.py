"""Formats the control plane's numbers: a row or a block per pipeline, a line per model. Pure; no Ray."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from labelstream.deploy.cli.common.console import escape, number, plural, reasons, with_file
from labelstream.deploy.cli.common.times import shown_ms, shown_s
from labelstream.deploy.control.reports import (
    BacklogStatus,
    Place,
    PlacedGatewayReport,
    PlacedModelReport,
    PlacedPipelineReport,
    Status,
    Totals,
)
from labelstream.deploy.names import GATEWAY, model_deployment, pipeline_deployment

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
NOT_READING = ("starting", "restarting", "failed")
NOT_READY = (*NOT_READING, "draining")
OLD_S = 10.0  # a process reports every 5 s or more often
Placed = TypeVar("Placed", PlacedPipelineReport, PlacedModelReport, PlacedGatewayReport)


class PipelineView(NamedTuple):
    """One pipeline, with the sums of its workers that live. Rates: per second since the previous call.

    `results`, `skipped`, `dead_letters`: totals, also of the workers that have ended.

    `p50_ms`, `p99_ms`: of the slowest worker. `lag`: messages; None while neither brokers nor workers know it.
    `silent`: the workers whose last report is old, with its age.
    """

    name: str
    workers: int
    state: str
    in_rate: float
    out_rate: float
    results: int
    skipped: Counter[str]
    dead_letters: Counter[str]
    lag: int | None
    oldest_s: float | None
    in_flight: int
    p50_ms: float | None
    p99_ms: float | None
    silent: tuple[str, ...]
    troubles: tuple[str, ...]
    alarms: tuple[str, ...]


class ModelView(NamedTuple):
    """One model, with the sums of its replicas. `busy`: the mean share of time that a device computes, 0 to 1."""

    name: str
    replicas: int
    sequence_rate: float
    busy: float
    wanted: int | None = None


class StatusView:
    """Keeps the last counters of each replica, because rates are differences. A restart sets a counter to 0."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._before: dict[tuple[str, str], tuple[float, float]] = {}

    def pipelines(self, status: Status) -> list[PipelineView]:
        scaling = status.get("scaling")
        return [
            self._pipeline(
                name,
                alive(status, pipeline_deployment(name), workers),
                [*workers.values(), *status.get("ended", {}).get(name, [])],
                scaling["backlog"].get(name) if scaling else None,
                scaling["warnings"].get(name) if scaling else None,
            )
            for name, workers in status["pipelines"].items()
        ]

    def models(self, status: Status) -> list[ModelView]:
        targets = status["scaling"]["targets"] if "scaling" in status else {}
        return [
            ModelView(
                name,
                len(replicas := alive(status, model_deployment(name), reports)),
                self._rate(f"model-{name} sequences", replicas, lambda stats: stats["sequences"]),
                self._rate(f"model-{name} busy", replicas, lambda stats: stats["busy_s"]) / max(1, len(replicas)),
                targets.get(model_deployment(name)),
            )
            for name, reports in status["models"].items()
        ]

    def _pipeline(
        self,
        name: str,
        reports: Mapping[str, PlacedPipelineReport],
        counted: Iterable[PlacedPipelineReport | Totals],
        backlog: BacklogStatus | None,
        warning: str | None,
    ) -> PipelineView:
        workers = list(reports.values())
        # A paused worker does not see the log grow, so the brokers' own numbers come first. While the brokers do not
        # answer, the workers' numbers are as old.
        known = None if backlog is None or backlog["stale"] else backlog
        results, dead, skipped = 0, Counter[str](), Counter[str]()
        for worker in counted:
            results += worker.get("results_out", 0)
            dead.update(worker.get("dead_letters", {}))
            skipped.update(worker.get("skipped_by_reason", {}))
        states = Counter(worker["state"] for worker in workers)
        latencies = [worker["latency_ms"] for worker in workers]
        return PipelineView(
            name=name,
            workers=len(workers),
            state=", ".join(state if count == len(workers) else f"{count} {state}" for state, count in states.items()),
            in_rate=self._rate(f"{name} in", reports, lambda stats: stats["messages_in"]),
            out_rate=self._rate(f"{name} out", reports, lambda stats: stats["results_out"]),
            results=results,
            dead_letters=dead,
            lag=known["lag"] if known else _lag_seen(workers) if backlog is None else None,
            oldest_s=known["oldest_s"] if known else None,
            in_flight=sum(worker["in_flight"] for worker in workers),
            p50_ms=max((latency["p50"] for latency in latencies if "p50" in latency), default=None),
            p99_ms=max((latency["p99"] for latency in latencies if "p99" in latency), default=None),
            troubles=tuple(sorted({worker["trouble"] for worker in workers if worker["trouble"]})),
            alarms=tuple(
                sorted({alarm for worker in workers for alarm in worker["alarms"]} | ({warning} if warning else set()))
            ),
            skipped=skipped,
            silent=tuple(f"{replica} for {age}" for replica, worker in reports.items() if (age := old_age(worker))),
        )

    def _rate(self, what: str, reports: Mapping[str, Placed], counter: Callable[[Placed], float]) -> float:
        now, total = self._clock(), 0.0
        for replica, stats in reports.items():
            key, value = (what, replica), counter(stats)
            # A replica's numbers have the age of its last report.
            measured_at = now - stats.get("age_s", 0.0)
            earlier: Any = stats.get("before")
            first = (now - earlier["age_s"], counter(earlier)) if earlier else (now, value)
            at, before = self._before.get(key, first)
            if measured_at > at and value >= before:
                total += (value - before) / (measured_at - at)
            self._before[key] = (measured_at, value)
        return total


def alive(status: Status, deployment: str, reports: Mapping[str, Placed]) -> Mapping[str, Placed]:
    """The reports without those of replicas that Serve knows to be gone."""
    running = status.get("replicas", {}).get(deployment)
    return reports if running is None else {name: report for name, report in reports.items() if name in running}


def old_age(report: Place) -> str:
    """The age of an old report; empty for a new one."""
    age_s = report.get("age_s", 0.0)
    return shown_s(age_s) if age_s > OLD_S else ""


def _lag_seen(workers: list[PlacedPipelineReport]) -> int | None:
    """The workers' own lag; None if one of them does not read, because its number is outdated."""
    if not workers or any(worker["state"] in NOT_READING for worker in workers):
        return None
    return sum(worker["lag"] for worker in workers)


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
    replicas = list(status.get("gateway", {}).get(GATEWAY, {}).values())
    if not replicas:
        return []
    counts: Counter[str] = Counter()
    for replica in replicas:
        for statuses in replica["requests"].values():
            counts.update(statuses)
    failed = sum(count for code, count in counts.items() if code.startswith("5"))
    in_flight = sum(replica["in_flight"] for replica in replicas)
    return [
        f"http: {plural(len(replicas), 'gateway replica')}, {plural(counts.total(), 'request')}, "
        f"{in_flight} in flight, {counts['429']} refused with 429, {failed} failed with 5xx"
    ]


def is_ready(view: PipelineView) -> bool:
    """Has the pipeline no problem and no worker that starts, restarts or ends?"""
    return not problems(view) and not any(state in view.state for state in NOT_READY)


def problems(view: PipelineView) -> list[str]:
    """The problems that need attention."""
    nobody = ["no worker reports: it is starting, or the cluster has no room for it"] if view.workers == 0 else []
    unready = [f"its workers are {view.state}"] if view.workers and view.state in NOT_READY else []
    return [
        *nobody,
        *unready,
        *(f"no report of worker {text}" for text in view.silent),
        *(f"trouble: {text}" for text in view.troubles),
        *(f"alarm: {text}" for text in view.alarms),
    ]
