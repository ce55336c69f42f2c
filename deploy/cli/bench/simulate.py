"""`labelstream simulate`: what the autoscaling would make of a day's arrivals, before there is a cluster."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labelstream.deploy.cli.common.console import out, say
from labelstream.workers.errors import ConfigError
from labelstream.workers.stream.flow_control.batch_sizer import ORDINARY_RECORDS

if TYPE_CHECKING:
    from labelstream.deploy.simulate.compare import Goal, Row
    from labelstream.deploy.simulate.world import Cluster, Outcome

BARS = " ▁▂▃▄▅▆▇█"
WIDTH = 48


def simulate(
    trace: Annotated[
        Path | None,
        typer.Argument(
            metavar="[TRACE.csv]",
            help="Rows of seconds,messages[,partition]: so many "
            "messages arrive from then to the next row. Without one: the shipped traces, with "
            "all settings of the others, which takes minutes.",
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Goals and bounds are taken from it.")] = None,
    pipeline: Annotated[str | None, typer.Option(help="Which one of the config, where it has several.")] = None,
    partitions: Annotated[int, typer.Option(min=1, help="Of the input topic.")] = 24,
    replica_per_s: Annotated[float, typer.Option(min=0.001, help="Messages that one replica does per second.")] = 1_000,
    worker_per_s: Annotated[float, typer.Option(min=0.001, help="Messages that one worker does per second.")] = 10_000,
    node_start_s: Annotated[float, typer.Option(min=0, help="Until a new node is there.")] = 150,
    model_start_s: Annotated[float, typer.Option(min=0, help="Until a model is loaded on it.")] = 40,
    seeds: Annotated[str, typer.Option(help="Of the shipped traces; others are others of the same kind.")] = "1",
    plot: Annotated[Path | None, typer.Option(help="Draw it, to this PNG file.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures there as well.")] = None,
) -> None:
    """Play arrivals against the autoscaling policy, beside Ray Serve's own and a lag threshold as KEDA has it.

    It is the very code that runs in the application. GPU-hours count a node from when it is asked for to when it goes.
    """
    from labelstream.deploy.simulate.world import Cluster

    goal, cluster = _from_config(
        config,
        pipeline,
        Cluster(
            replica_per_s=replica_per_s,
            worker_per_s=worker_per_s,
            node_start_s=node_start_s,
            model_start_s=model_start_s,
        ),
    )
    if plot is not None:
        from labelstream.deploy.simulate.plot import pyplot

        pyplot()  # before the work
    if trace is not None:
        figures = _one(trace, cluster, goal, partitions, plot)
        failed = False
    else:
        figures, failed = _all(seeds, cluster, goal, plot)
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if failed:
        say("labelstream: another way with one setting is better over all of these traces")
        raise typer.Exit(1)


def _from_config(config: Path | None, pipeline: str | None, cluster: "Cluster") -> tuple["Goal", "Cluster"]:
    from labelstream.deploy.simulate.compare import Goal

    if config is None:
        return Goal(), cluster
    from labelstream.workers.config_file import load_settings, read_config_file

    settings = load_settings(read_config_file(config))
    name = pipeline or next(iter(settings.pipelines))
    if name not in settings.pipelines or (pipeline is None and len(settings.pipelines) > 1):
        raise ConfigError("--pipeline", f"names none of {', '.join(settings.pipelines)}", "name one of them")
    chosen = settings.pipelines[name]
    model = settings.models[chosen.model]
    return Goal(chosen.target_drain_s, chosen.max_lag_s, model.replicas.min), cluster._replace(
        calls=chosen.most_in_flight,
        call_messages=min(ORDINARY_RECORDS, chosen.max_poll_records),
        max_replicas=model.replicas.max,
        max_workers=chosen.workers.max,
    )


def _one(path: Path, cluster: "Cluster", goal: "Goal", partitions: int, plot: Path | None) -> dict[str, Any]:
    from labelstream.deploy.simulate.compare import defaults
    from labelstream.deploy.simulate.traces import read_csv
    from labelstream.deploy.simulate.world import run

    trace = read_csv(path, partitions)
    outcomes = {way: run(trace, cluster, make(), goal.max_lag_s) for way, make in defaults(cluster, goal).items()}
    _show_one(outcomes, goal)
    if plot is not None:
        from labelstream.deploy.simulate.plot import over_time

        over_time(trace, outcomes, plot)
    return {way: _figures(outcome) for way, outcome in outcomes.items()}


def _figures(outcome: "Outcome") -> dict[str, float]:
    return {
        "gpu_hours": outcome.gpu_hours,
        "least_gpu_hours": outcome.min_gpu_hours,
        "late_s": outcome.late_s,
        "late_share": outcome.late_share,
        "p99_s": outcome.p99_s,
        "peak_lag": int(outcome.lag.max()),
        "peak_age_s": float(outcome.age_s.max()),
        "most_replicas": int(outcome.replicas.max()),
        "moves": outcome.moves,
    }


def _show_one(outcomes: "dict[str, Outcome]", goal: "Goal") -> None:
    from rich.table import Table

    table = Table("way", "GPU-h", "peak lag", "oldest", "p99", f">{goal.max_lag_s:g} s", "replicas", "moves")
    for way, outcome in outcomes.items():
        found = _figures(outcome)
        table.add_row(
            way,
            f"{found['gpu_hours']:.2f}",
            f"{found['peak_lag']:.0f}",
            f"{found['peak_age_s']:.0f} s",
            f"{found['p99_s']:.0f} s",
            f"{found['late_share']:.1%}",
            f"{found['most_replicas']:.0f}",
            f"{found['moves']:.0f}",
        )
    console = out()
    console.print(table)
    console.print(f"the least that could do: {next(iter(outcomes.values())).min_gpu_hours:.2f} GPU-hours")
    for name in ("lag", "age_s", "replicas"):
        most = max(float(getattr(outcome, name).max()) for outcome in outcomes.values())
        for way, outcome in outcomes.items():
            console.print(f"{name:9} {way:12} |{_line(getattr(outcome, name), most)}| {most:.0f}", soft_wrap=True)


def _line(values: Any, most: float) -> str:
    """The highest of each of WIDTH parts, as bars."""
    import numpy as np

    parts = [part.max() for part in np.array_split(values, min(WIDTH, len(values)))]
    return "".join(BARS[round(part / most * (len(BARS) - 1))] if most else " " for part in parts)


def _all(seeds: str, cluster: "Cluster", goal: "Goal", plot: Path | None) -> tuple[dict[str, Any], bool]:
    from labelstream.deploy.simulate.compare import OURS, compare, judge

    try:
        numbers = [int(seed) for seed in seeds.split(",")]
    except ValueError:
        raise ConfigError("--seeds", f"{seeds!r} is no list of numbers", "for example --seeds 1,2,3") from None
    rows = compare(numbers, cluster, goal)
    verdict = judge(rows)
    _show_all(rows, verdict)
    if plot is not None:
        from labelstream.deploy.simulate.plot import pareto

        pareto(rows, plot)
    worse = any(found["score"] < verdict.best[OURS]["score"] for found in verdict.best.values())
    return {"best": verdict.best, "behind": verdict.behind, "rows": [found._asdict() for found in rows]}, worse


def _show_all(rows: "list[Row]", verdict: Any) -> None:
    from rich.table import Table

    from labelstream.deploy.simulate.compare import OURS

    table = Table(
        "way",
        "its best setting for all",
        "score",
        "cost",
        "late",
        title=f"{verdict.traces} traces, means",
        title_justify="left",
    )
    for way, found in sorted(verdict.best.items(), key=lambda entry: entry[1]["score"]):
        table.add_row(way, found["setting"], *(f"{found[name]:.2f}" for name in ("score", "cost", "late")))
    console = out()
    console.print(table)
    table = Table("trace", "seed", "score", "best of all with any setting", "GPU-hours", "late", "p99", "moves")
    for ours in (found for found in rows if found.way == OURS):
        best = min(
            (found for found in rows if (found.trace, found.seed) == (ours.trace, ours.seed)),
            key=lambda found: found.score,
        )
        table.add_row(
            ours.trace,
            str(ours.seed),
            f"{ours.score:.2f}",
            f"{best.score:.2f} ({best.way})",
            f"{ours.gpu_hours:.1f}",
            f"{ours.late_share:.1%}",
            f"{ours.p99_s:.0f} s",
            str(ours.moves),
        )
    console.print(table)
    console.print(
        "cost: GPU-hours over the least that could do; late: mean lateness beyond max_lag_s, in units of it; "
        "score: their sum",
        soft_wrap=True,
    )
    for found in verdict.behind:
        console.print(
            f"more than 10% behind the best: {found['trace']}, seed {found['seed']}: {found['score']:.2f}, "
            f"{found['best']:.2f} by {found['of']}",
            soft_wrap=True,
        )
