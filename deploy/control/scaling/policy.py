"""Decides the numbers of replicas and workers: enough to drain the backlog in time, and no more. Pure.

For each model, in tokens, at the time when a new replica would be up (`start_s` from now): backlog B, arrivals A a
second, and c, what one replica does a second. The policy needs the largest of

- A / (c * USABLE), to keep up;
- (A + B / target_drain_s) / c, to drain the backlog in time;
- B / (c * max_lag_s), so that the youngest message of the backlog does not get too old: it waits for all of B.

The number rises at once. The number falls to the highest need of the last DOWN_S.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from labelstream.deploy.control.scaling.concurrency import CALLS_PER_REPLICA
from labelstream.deploy.control.scaling.estimator import Estimate, ModelEstimate, PipelineEstimate
from labelstream.deploy.control.scaling.limits import Bounds, Rules
from labelstream.deploy.control.scaling.sliding_max import SlidingMax
from labelstream.deploy.names import model_deployment, pipeline_deployment

USABLE = 0.9
TREND_DEAD = 0.25  # slower growth within one start time is noise
DOWN_S = 60.0
IDLE_S = 300.0
HTTP_WAIT_S = 2.0  # HTTP requests in flight should be answered within this time
START_S = 60.0  # until a start has been measured
MIN_START_S, MAX_START_S = 5.0, 900.0
WORKER_USABLE = 0.75
WORKERS_UP_S, WORKERS_DOWN_S, BETWEEN_MOVES_S = 10.0, 600.0, 60.0
WORKERS_ROOM = 1.5  # a worker costs one core, and a move costs all workers a rebalance
SKEWED_SHARE, SKEWED_LAG_S = 0.5, 10.0


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
            name: _ModelTarget(asked.get(model_deployment(name), rule.bounds.min))
            for name, rule in rules.models.items()
        }
        self._pipelines = {
            name: _WorkerTarget(asked.get(pipeline_deployment(name), rule.bounds.min), rule.bounds)
            for name, rule in rules.pipelines.items()
        }

    def decide(self, seen: Estimate) -> Decision:
        reasons: dict[str, str] = {}
        models = {name: self._model(seen, name, reasons) for name in self._models}
        pipelines = {name: self._workers(seen, name, models, reasons) for name in self._pipelines}
        warnings = {name: text for name, found in seen.pipelines.items() if (text := skew(found))}
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
            reach += min(max_workers, _holding(found)) * min(rules.calls, fed)
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


def skew(found: PipelineEstimate) -> str | None:
    """A warning if few partitions hold most of the backlog: one worker reads a partition, whatever the number of
    workers.
    """
    total = found.waiting
    if len(found.lag) < 2 or not _is_large(found):
        return None
    partition, largest = max(found.lag.items(), key=lambda entry: entry[1])
    if largest < SKEWED_SHARE * total or largest < 4 * total / len(found.lag):
        return None
    return (
        f"partition {partition} has {largest} of the {total} waiting messages, and one worker reads it; "
        "spread the keys, or add partitions"
    )


def _holding(found: PipelineEstimate) -> int:
    """Effective number of partitions in the backlog: inverse of the sum of squared shares; all partitions without a
    backlog.
    """
    if not _is_large(found):
        return max(1, len(found.lag))
    return max(1, math.ceil(found.waiting**2 / sum(lag**2 for lag in found.lag.values())))


def _is_large(found: PipelineEstimate) -> bool:
    """Whether the backlog is more than a few seconds of arrivals; the spread of a smaller one means nothing."""
    return found.waiting >= SKEWED_LAG_S * max(1.0, found.arrival_per_s)


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


def _wanted(demand: Demand, speed: float, state: "_ModelTarget", at: float, replicas: int) -> int:
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


class _ModelTarget:
    """Target of one model: what was asked for, when, and how long a replica takes to start."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.start_s = START_S
        self._asked: dict[int, float] = {}  # number of the replica -> time of the request for it
        self._short_max, self._long_max = SlidingMax(DOWN_S), SlidingMax(IDLE_S)
        self._followed = self._gone = False

    def notice(self, at: float, replicas: int) -> None:
        """`replicas` are up now."""
        self._gone = self._gone or replicas == 0
        if self.target == 0 and self._gone and replicas:
            self.follow(at, 1)  # Serve started one for a call that waited
        if replicas:
            self._gone = False
        for number in [number for number in self._asked if number <= replicas]:
            took_s = at - self._asked.pop(number)
            self.start_s = min(MAX_START_S, max(MIN_START_S, (self.start_s + took_s) / 2))

    def coming_s(self, at: float, replicas: int) -> float:
        """Replica-seconds that replicas under way will add within the next `start_s`."""
        return sum(
            min(self.start_s, max(0.0, at - asked)) for number, asked in self._asked.items() if number > replicas
        )

    def follow(self, at: float, wanted: int) -> int:
        """Raise the target at once; lower it to the highest need of the last DOWN_S."""
        if not self._followed:  # what runs at the start counts as the need until now
            self._followed = True
            self.follow(at, self.target)
        short_max, long_max = self._short_max.add(at, wanted), self._long_max.add(at, wanted)
        return self.ask_for(at, short_max or min(long_max, 1))

    def ask_for(self, at: float, target: int) -> int:
        """Set the target, whatever was needed lately."""
        for number in range(self.target + 1, target + 1):
            self._asked[number] = at
        for number in [number for number in self._asked if number > target]:
            del self._asked[number]
        self.target = target
        return target


class _WorkerTarget:
    """Target of one pipeline's workers. Changes rarely, because each change is a rebalance."""

    def __init__(self, target: int, bounds: Bounds) -> None:
        self.target, self._bounds = target, bounds
        self._since: float | None = None
        self._moved_at = -math.inf
        self._negated_max, self._max = SlidingMax(WORKERS_UP_S), SlidingMax(WORKERS_DOWN_S)

    def follow(self, at: float, wanted: int) -> int:
        """Rise after some seconds of a higher need; fall to the highest need of a long window."""
        if self._since is None:
            self._since = at
        window_min, window_max = -self._negated_max.add(at, -wanted), self._max.add(at, wanted)
        if at - self._moved_at < BETWEEN_MOVES_S:
            return self.target
        if window_min > self.target and at - self._since >= WORKERS_UP_S:
            self._moved_at, self.target = at, math.ceil(wanted * WORKERS_ROOM)
        elif window_max * WORKERS_ROOM < self.target and at - self._since >= WORKERS_DOWN_S:
            self._moved_at, self.target = at, window_max
        self.target = self._bounds.of(self.target)
        return self.target
