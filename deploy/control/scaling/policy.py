"""Decides the numbers of replicas and workers: enough to drain the backlog in time, and no more. Pure.

For each model, in tokens, at the time when a new replica would be up (`start_s` from now): backlog B, arrivals A a
second, and c, what one replica does a second. The policy needs the largest of

- A / (c * USABLE), to keep up;
- (A + B / target_drain_s) / c, to drain the backlog in time;
- B / (c * max_lag_s), so that the youngest message of the backlog does not get too old: it waits for all of B.

`targets` says when a number follows the need.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from labelstream.deploy.control.scaling.concurrency import CALLS_PER_REPLICA
from labelstream.deploy.control.scaling.estimator import Estimate, ModelEstimate, PipelineEstimate
from labelstream.deploy.control.scaling.limits import Bounds, Rules
from labelstream.deploy.control.scaling.skew import holding, warning_of
from labelstream.deploy.control.scaling.targets import ModelTarget, WorkerTarget
from labelstream.deploy.names import model_deployment, pipeline_deployment

USABLE = 0.9
TREND_DEAD = 0.25  # slower growth within one start time is noise
HTTP_WAIT_S = 2.0  # HTTP requests in flight should be answered within this time
WORKER_USABLE = 0.75


class Decision(NamedTuple):
    """Targets by name, with their reasons as text. `warnings`: by pipeline, problems that more replicas
    cannot solve.
    """

    models: Mapping[str, int]
    pipelines: Mapping[str, int]
    reasons: Mapping[str, str]
    warnings: Mapping[str, str]


class Demand(NamedTuple):
    """Work of a model: tokens in the backlog, tokens a second, their growth, and the demands of the two goals."""

    backlog: float
    arrival: float
    trend: float
    per_drain: float
    per_lag: float


class Policy:
    """One policy for the whole application. `targets`: what an earlier policy of the same application asked for."""

    def __init__(self, rules: Rules, targets: Mapping[str, int] | None = None) -> None:
        self._rules = rules
        asked = targets or {}
        self._models = {
            name: ModelTarget(asked.get(model_deployment(name), rule.bounds.min)) for name, rule in rules.models.items()
        }
        self._pipelines = {
            name: WorkerTarget(asked.get(pipeline_deployment(name), rule.bounds.min), rule.bounds)
            for name, rule in rules.pipelines.items()
        }

    def decide(self, seen: Estimate) -> Decision:
        reasons: dict[str, str] = {}
        models = {name: self._model(seen, name, reasons) for name in self._models}
        pipelines = {name: self._workers(seen, name, models, reasons) for name in self._pipelines}
        warnings = {name: text for name, found in seen.pipelines.items() if (text := warning_of(found))}
        return Decision(models, pipelines, reasons, warnings)

    def _model(self, seen: Estimate, name: str, reasons: dict[str, str]) -> int:
        state, bounds = self._models[name], self._rules.models[name].bounds
        model = seen.models.get(name, ModelEstimate(0, None))
        state.notice(seen.at, model.replicas)
        users = {
            pipeline: found
            for pipeline, found in seen.pipelines.items()
            if name in self._rules.pipelines[pipeline].models
        }
        if not (users or self._rules.http) or any(found.stale for found in users.values()):
            reasons[model_deployment(name)] = "held: the brokers do not answer"
            return state.target
        busy = [found for found in users.values() if found.arrival_per_s or any(found.lag.values())]
        if model.tokens_per_s is None or any(not found.cost for found in busy):
            reasons[model_deployment(name)] = "its speed is not known yet"
            is_used = bool(busy) or model.http_waiting > 0
            return state.ask_for(seen.at, bounds.of(max(state.target, int(is_used))))
        http = _http_demand(model)
        demand = Demand(*(a + b for a, b in zip(self._demand(name, users), http, strict=True)))
        wanted = _wanted(demand, model.tokens_per_s, state, seen.at, model.replicas)
        # HTTP requests reach all replicas; calls in flight bound what the workers reach.
        of_http = math.ceil((http.arrival / USABLE + http.per_lag) / model.tokens_per_s)
        within = min(wanted, self._within_reach(name, users, wanted, model.tokens_per_s) + of_http)
        reasons[model_deployment(name)] = (
            f"{demand.backlog:.0f} tokens wait, {demand.arrival:.0f} arrive per second, a replica does "
            f"{model.tokens_per_s:.0f}: {wanted} replica{'s' * (wanted != 1)} needed"
            + (f", {within} can be kept busy" if within < wanted else "")
            + _by_config(bounds, within)
        )
        return state.follow(seen.at, bounds.of(within))

    def _demand(self, name: str, users: Mapping[str, PipelineEstimate]) -> Demand:
        total = Demand(0, 0, 0, 0, 0)
        for pipeline, found in users.items():
            rules, cost = self._rules.pipelines[pipeline], found.cost.get(name, 0.0)
            backlog = found.waiting * cost
            one = Demand(
                backlog,
                found.arrival_per_s * cost,
                found.trend * cost,
                backlog / rules.target_drain_s,
                backlog / rules.max_lag_s,
            )
            total = Demand(*(a + b for a, b in zip(total, one, strict=True)))
        return total

    def _within_reach(self, name: str, users: Mapping[str, PipelineEstimate], wanted: int, speed: float) -> int:
        """`wanted`, at most the number that the workers can keep busy: calls in flight, CPU and partitions bound it."""
        reach = 0
        for pipeline, found in users.items():
            rules, cost = self._rules.pipelines[pipeline], found.cost.get(name, 0.0)
            max_workers = min(rules.bounds.max, max(1, len(found.lag)))
            fed = math.inf if found.worker_per_s is None else math.ceil(found.worker_per_s * cost / speed)
            reach += min(max_workers, holding(found)) * min(rules.calls, fed)
        return min(wanted, max(1, int(reach))) if wanted else 0

    def _workers(self, seen: Estimate, name: str, models: Mapping[str, int], reasons: dict[str, str]) -> int:
        state, rules = self._pipelines[name], self._rules.pipelines[name]
        found = seen.pipelines.get(name)
        if found is None or found.stale or not found.lag:
            reasons[pipeline_deployment(name)] = "held: the brokers do not answer"
            return state.target
        rate = max(0.0, found.arrival_per_s) + found.waiting / rules.target_drain_s
        share = {model: _share(seen, self._rules, name, model) for model in rules.models}
        calls = sum(models[model] * share[model] for model in rules.models) * CALLS_PER_REPLICA
        for_calls = math.ceil(calls / rules.calls)
        for_cpu = 1 if found.worker_per_s is None else math.ceil(rate / (found.worker_per_s * WORKER_USABLE))
        if can := [
            models[model] * speed / cost
            for model, cost in found.cost.items()
            if cost > 0 and (speed := seen.models.get(model, ModelEstimate(0, None)).tokens_per_s)
        ]:
            # The models are the limit: more workers would only wait for them.
            most_useful = max(1, math.ceil(max(can) / ((found.worker_per_s or math.inf) * WORKER_USABLE)))
            for_cpu = min(for_cpu, most_useful)
        wanted = min(max(for_calls, for_cpu, 1), len(found.lag))
        reasons[pipeline_deployment(name)] = (
            f"workers needed: {for_cpu} for {rate:.0f} messages/s, {for_calls} to keep the replicas busy; "
            f"{len(found.lag)} partition{'s' * (len(found.lag) != 1)}"
        )
        return min(state.follow(seen.at, rules.bounds.of(wanted)), max(rules.bounds.min, len(found.lag)))


def _http_demand(model: ModelEstimate) -> Demand:
    """Demand of HTTP requests. Each waits for its own text only, so no backlog of them may last."""
    waiting = model.http_waiting
    return Demand(waiting, model.http_per_s, 0.0, waiting / HTTP_WAIT_S, waiting / HTTP_WAIT_S)


def _share(seen: Estimate, rules: Rules, pipeline: str, model: str) -> float:
    """This pipeline's share of a model's work, 0 to 1."""

    def work(name: str) -> float:
        found = seen.pipelines[name]
        return found.cost.get(model, 0.0) * (found.arrival_per_s + found.waiting)

    total = sum(work(name) for name in seen.pipelines if model in rules.pipelines[name].models)
    return work(pipeline) / total if total else 1.0


def _by_config(bounds: Bounds, wanted: int) -> str:
    allowed = bounds.of(wanted)
    return "" if allowed == wanted else f", {allowed} at {'least' if allowed > wanted else 'most'} by the config"


def _wanted(demand: Demand, speed: float, state: ModelTarget, at: float, replicas: int) -> int:
    start_s = state.start_s
    growth = demand.trend * start_s
    later = demand.arrival + (growth if growth > TREND_DEAD * demand.arrival else 0.0)
    average = (demand.arrival + later) / 2
    done = speed * (replicas * start_s + state.coming_s(at, replicas))
    backlog = max(0.0, demand.backlog + average * start_s - done)
    scale = backlog / demand.backlog if demand.backlog else 0.0
    arrival = max(demand.arrival, later)
    needed = max(arrival / USABLE, arrival + demand.per_drain * scale, demand.per_lag * scale) / speed
    return math.ceil(needed) if needed > 1 else int(bool(demand.arrival or demand.backlog))
