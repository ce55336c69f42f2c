"""Sums and rates of a status: one view for each pipeline and model, and the problems to show. Pure; no Ray."""

import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, cast

from labelstream.deploy.control.deployed import Owner
from labelstream.deploy.control.reports import (
    FRESH_S,
    RATES,
    BacklogStatus,
    Place,
    Placed,
    PlacedModelReport,
    PlacedPipelineReport,
    Status,
    Totals,
)
from labelstream.deploy.names import GATEWAY, model_deployment, pipeline_deployment

DLQ_HINT = "`labelstream dlq list -c FILE` lists the dead letters with their reasons"
NOT_READING = ("starting", "restarting", "failed")
NOT_READY = (*NOT_READING, "draining")


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
    """One model, with the sums of its replicas. `busy`: the mean share of time that a device computes, 0 to 1.

    `padding`: share of the computed positions that hold no token, since the previous call; None if nothing ran.
    """

    name: str
    replicas: int
    sequence_rate: float
    busy: float
    wanted: int | None = None
    token_rate: float = 0.0
    padding: float | None = None


class HttpView(NamedTuple):
    """The gateway, with the sums of its replicas. `refused`: with 429; `failed`: with 5xx."""

    replicas: int
    requests: int
    in_flight: int
    refused: int
    failed: int


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
            self._model(name, alive(status, model_deployment(name), reports), targets.get(model_deployment(name)))
            for name, reports in status["models"].items()
        ]

    def _model(self, name: str, replicas: Mapping[str, PlacedModelReport], wanted: int | None) -> ModelView:
        rates = {key: self._rate(f"model-{name} {key}", replicas, key) for key in RATES["models"]}
        return ModelView(
            name=name,
            replicas=len(replicas),
            sequence_rate=rates["sequences"],
            busy=rates["busy_s"] / max(1, len(replicas)),
            wanted=wanted,
            token_rate=rates["tokens"],
            padding=1 - rates["run_tokens"] / rates["run_slots"] if rates["run_slots"] else None,
        )

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
            in_rate=self._rate(f"{name} in", reports, "messages_in"),
            out_rate=self._rate(f"{name} out", reports, "results_out"),
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

    def _rate(self, what: str, reports: Mapping[str, Placed], counter: str) -> float:
        now, total = self._clock(), 0.0
        for replica, stats in reports.items():
            key, value = (what, replica), cast("float", stats[counter])
            # A replica's numbers have the age of its last report.
            measured_at = now - stats.get("age_s", 0.0)
            earlier = stats.get("before", {})
            first = (now - earlier["age_s"], earlier[counter]) if counter in earlier else (now, value)
            at, before = self._before.get(key, first)
            if measured_at > at and value >= before:
                total += (value - before) / (measured_at - at)
            self._before[key] = (measured_at, value)
        return total


def alive(status: Status, deployment: str, reports: Mapping[str, Placed]) -> Mapping[str, Placed]:
    """The reports without those of replicas that Serve knows to be gone."""
    running = status.get("replicas", {}).get(deployment)
    return reports if running is None else {name: report for name, report in reports.items() if name in running}


def for_owner(text: str, owner: Owner | None) -> str:
    """`text` with the owner's config file in its commands."""
    return text.replace("-c FILE", f"-c {shlex.quote(owner['config'])}") if owner else text


def http_view(status: Status) -> HttpView | None:
    """None without HTTP."""
    reports = status.get("gateway", {}).get(GATEWAY, {})
    if not reports:
        return None
    replicas = alive(status, GATEWAY, reports).values()
    counts: Counter[str] = Counter()
    for replica in reports.values():
        for statuses in replica["requests"].values():
            counts.update(statuses)
    return HttpView(
        replicas=len(replicas),
        requests=counts.total(),
        in_flight=sum(replica["in_flight"] for replica in replicas),
        refused=counts["429"],
        failed=sum(count for code, count in counts.items() if code.startswith("5")),
    )


def old_age(report: Place) -> str:
    """The age of an old report, such as `83 s`; empty for a new one."""
    age_s = report.get("age_s", 0.0)
    return f"{age_s:.0f} s" if age_s > FRESH_S else ""


def _lag_seen(workers: list[PlacedPipelineReport]) -> int | None:
    """The workers' own lag; None if one of them does not read, because its number is outdated."""
    if not workers or any(worker["state"] in NOT_READING for worker in workers):
        return None
    return sum(worker["lag"] for worker in workers)


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
