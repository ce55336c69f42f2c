"""`labelstream simulate`: simulates the autoscaling for given arrivals, without a cluster."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labelstream.deploy.cli.common.connect import load_pipelines
from labelstream.deploy.cli.common.console import out, plural, say
from labelstream.workers.errors import ConfigError
from labelstream.workers.stream.flow_control.batch_sizer import ORDINARY_RECORDS

if TYPE_CHECKING:
    from labelstream.deploy.simulate.cluster import Cluster
    from labelstream.deploy.simulate.compare import Goal, Row
    from labelstream.deploy.simulate.outcome import Outcome

BARS = " ▁▂▃▄▅▆▇█"
WIDTH = 48


def simulate(
    trace: Annotated[
        Path | None,
        typer.Argument(
            metavar="TRACE.csv",
            help="Rows of seconds,messages[,partition]: the messages that arrive until the next row. "
            "Default: all built-in traces, with many settings of the other policies, which takes minutes.",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", metavar="FILE", help="Config file (YAML) with goals and bounds.")
    ] = None,
    pipeline: Annotated[
        str | None, typer.Option(metavar="NAME", help="Pipeline of the config. Default: the only one.")
    ] = None,
    partitions: Annotated[int, typer.Option(min=1, help="Number of partitions of the input topic.")] = 24,
    replica_per_s: Annotated[float, typer.Option(min=0.001, help="Messages per second of one replica.")] = 1_000,
    worker_per_s: Annotated[float, typer.Option(min=0.001, help="Messages per second of one worker.")] = 10_000,
    node_start_s: Annotated[float, typer.Option(min=0, help="Seconds until a new node is ready.")] = 150,
    model_start_s: Annotated[float, typer.Option(min=0, help="Seconds to load the model on a node.")] = 40,
    seeds: Annotated[str, typer.Option(metavar="N,...", help="Comma-separated seeds of the built-in traces.")] = "1",
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Plot the result to this file.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the figures to this file.")
    ] = None,
) -> None:
    """Simulate the autoscaling for a trace of arrivals, beside Ray Serve's own policy and KEDA's lag threshold.

    Labelstream's policy is the code that runs in the application. GPU-hours count a node from its request to its
    removal. Exit code 1 without TRACE: another policy is better over all traces.
    """
    from labelstream.deploy.simulate.cluster import Cluster

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

        pyplot()  # fails before the work if matplotlib is missing
    _show_assumptions(cluster, None if trace is None else partitions)
    if trace is not None:
        figures = _one(trace, cluster, goal, partitions, plot)
        failed = False
    else:
        figures, failed = _all(seeds, cluster, goal, plot)
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if failed:
        say("labelstream: another policy with one setting is better over all these traces")
        raise typer.Exit(1)


def _from_config(config: Path | None, pipeline: str | None, cluster: "Cluster") -> tuple["Goal", "Cluster"]:
    from labelstream.deploy.simulate.compare import Goal

    if config is None:
        return Goal(), cluster
    settings = load_pipelines(config)
    name = pipeline or next(iter(settings.pipelines))
    if name not in settings.pipelines or (pipeline is None and len(settings.pipelines) > 1):
        raise ConfigError(
            "--pipeline", "names no pipeline of the config", f"give one of {', '.join(settings.pipelines)}"
        )
    chosen = settings.pipelines[name]
    model = settings.models[chosen.model]
    return Goal(chosen.target_drain_s, chosen.max_lag_s, model.replicas.min), cluster._replace(
        calls=chosen.most_in_flight,
        call_messages=min(ORDINARY_RECORDS, chosen.max_poll_records),
        max_replicas=model.replicas.max,
        max_workers=chosen.workers.max,
    )


def _show_assumptions(cluster: "Cluster", partitions: int | None) -> None:
    """`partitions`: None if each trace has its own."""
    topic = "" if partitions is None else f"{plural(partitions, 'partition')}, "
    out().print(
        f"assumed: {topic}{cluster.replica_per_s:g} messages/s a replica, {cluster.worker_per_s:g} a worker; "
        f"{cluster.node_start_s:g} s until a node is ready, {cluster.model_start_s:g} s to load the model",
        soft_wrap=True,
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

    table = Table("policy", "GPU-h", "peak lag", "oldest", "p99", f">{goal.max_lag_s:g} s", "replicas", "moves")
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
    console.print(f"minimum without idle replicas: {next(iter(outcomes.values())).min_gpu_hours:.2f} GPU-hours")
    for name in ("lag", "age_s", "replicas"):
        top = max(float(getattr(outcome, name).max()) for outcome in outcomes.values())
        for way, outcome in outcomes.items():
            console.print(f"{name:9} {way:12} |{_bars(getattr(outcome, name), top)}| {top:.0f}", soft_wrap=True)


def _bars(values: Any, top: float) -> str:
    """The maximum of each of WIDTH parts as a bar. `top`: the value of a full bar."""
    import numpy as np

    parts = [part.max() for part in np.array_split(values, min(WIDTH, len(values)))]
    return "".join(BARS[round(part / top * (len(BARS) - 1))] if top else " " for part in parts)


def _all(seeds: str, cluster: "Cluster", goal: "Goal", plot: Path | None) -> tuple[dict[str, Any], bool]:
    from labelstream.deploy.simulate.compare import OURS, compare, judge

    try:
        numbers = [int(seed) for seed in seeds.split(",")]
    except ValueError:
        raise ConfigError("--seeds", f"{seeds!r} is not a list of numbers", "for example --seeds 1,2,3") from None
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
        "policy",
        "its best setting",
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
    table = Table("trace", "seed", "score", "best policy, any setting", "GPU-hours", "late", "p99", "moves")
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
        "cost: GPU-hours / minimum without idle replicas; late: mean lateness beyond max_lag_s / max_lag_s; "
        "score: cost + late",
        soft_wrap=True,
    )
    for found in verdict.behind:
        console.print(
            f"more than 10% behind the best: {found['trace']}, seed {found['seed']}: {found['score']:.2f}, "
            f"best {found['best']:.2f} by {found['of']}",
            soft_wrap=True,
        )
