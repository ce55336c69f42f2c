"""How many replicas and workers there are to be: enough that the backlog is gone in time, and no more. Pure.

Per model, in tokens, for what will be there when a replica that is asked for now is up (`start_s` from now): the
backlog B then, arrivals A then, and c, what one replica does per second. Needed are

- A / (c * USABLE) to keep up,
- (A + B / target_drain_s) / c to get rid of the backlog in time,
- B / (c * max_lag_s) so that the youngest message of the backlog, which waits for all of it, does not get too old.

The largest of the three counts: up at once, down when none of the last DOWN_S has needed more.
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
TREND_DEAD = 0.25  # slower growth than this within a start is noise
DOWN_S = 60.0
IDLE_S = 300.0
START_S = 60.0  # until one has been measured
MIN_START_S, MAX_START_S = 5.0, 900.0
WORKER_USABLE = 0.75
WORKERS_UP_S, WORKERS_DOWN_S, BETWEEN_MOVES_S = 10.0, 600.0, 60.0
WORKERS_ROOM = 1.5  # a worker costs a core, a move costs all of them a rebalance
SKEWED_SHARE, SKEWED_LAG_S = 0.5, 10.0


class Decision(NamedTuple):
    """Targets by name, and why, in words. `warnings`: what scaling cannot help, by pipeline."""

    models: Mapping[str, int]
    pipelines: Mapping[str, int]
    reasons: Mapping[str, str]
    warnings: Mapping[str, str]


class Demand(NamedTuple):
    """What a model has to do: tokens now there, per second to come, and what the deadlines make of the backlog."""

    backlog: float
    arrival: float
    trend: float
    per_drain: float
    per_lag: float


class Policy:
    """One for the whole application. `targets`: what was asked for before, by an earlier policy of the same."""

    def __init__(self, rules: Rules, targets: Mapping[str, int] | None = None) -> None:
        self._rules = rules
        asked = targets or {}
        self._models = {
            name: _ModelTarget(asked.get(model_deployment(name), rule.bounds.least))
            for name, rule in rules.models.items()
        }
        self._pipelines = {
            name: _WorkerTarget(asked.get(pipeline_deployment(name), rule.bounds.least), rule.bounds)
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
        if not users or any(found.stale for found in users.values()):
            reasons[model_deployment(name)] = "held: the brokers give no answer"
            return state.target
        busy = [found for found in users.values() if found.arrival_per_s or any(found.lag.values())]
        if model.tokens_per_s is None or any(not found.cost for found in busy):
            reasons[model_deployment(name)] = "nothing is known of its speed yet"
            return state.ask_for(seen.at, bounds.of(max(state.target, int(bool(busy)))))
        demand = self._demand(name, users)
        wanted = _wanted(demand, model.tokens_per_s, state, seen.at, model.replicas)
        within = self._within_reach(name, users, wanted, model.tokens_per_s)
        reasons[model_deployment(name)] = (
            f"{demand.backlog:.0f} tokens wait, {demand.arrival:.0f} come per second, a replica does "
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
        """A worker keeps so many calls in flight, as far as its CPU goes, and each partition is one worker's: more
        replicas would idle.
        """
        reach = 0
        for pipeline, found in users.items():
            rules, cost = self._rules.pipelines[pipeline], found.cost.get(name, 0.0)
            most = min(rules.bounds.most, max(1, len(found.lag)))
            fed = math.inf if found.worker_per_s is None else math.ceil(found.worker_per_s * cost / speed)
            reach += min(most, _holding(found)) * min(rules.calls, fed)
        return min(wanted, max(1, int(reach))) if wanted else 0

    def _workers(self, seen: Estimate, name: str, models: Mapping[str, int], reasons: dict[str, str]) -> int:
        state, rules = self._pipelines[name], self._rules.pipelines[name]
        found = seen.pipelines.get(name)
        if found is None or found.stale or not found.lag:
            reasons[pipeline_deployment(name)] = "held: the brokers give no answer"
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
            # The models limit: more workers would only wait for them.
            most_useful = max(1, math.ceil(max(can) / ((found.worker_per_s or math.inf) * WORKER_USABLE)))
            for_cpu = min(for_cpu, most_useful)
        wanted = min(max(for_calls, for_cpu, 1), len(found.lag))
        reasons[pipeline_deployment(name)] = (
            f"{rate:.0f} messages/s to do; workers for their CPU: {for_cpu}, to keep the replicas busy: {for_calls}; "
            f"partitions: {len(found.lag)}"
        )
        return min(state.follow(seen.at, rules.bounds.of(wanted)), max(rules.bounds.least, len(found.lag)))


def skew(found: PipelineEstimate) -> str | None:
    """Is the backlog that of few partitions? A partition is one worker's, however many there are."""
    total = found.waiting
    if len(found.lag) < 2 or not _is_large(found):
        return None
    partition, most = max(found.lag.items(), key=lambda entry: entry[1])
    if most < SKEWED_SHARE * total or most < 4 * total / len(found.lag):
        return None
    return (
        f"partition {partition} has {most} of the {total} messages that wait: more workers cannot help, other keys "
        "or more partitions can"
    )


def _holding(found: PipelineEstimate) -> int:
    """Over how many partitions the backlog is spread, as the inverse of their shares' squares; all without any."""
    if not _is_large(found):
        return max(1, len(found.lag))
    return max(1, math.ceil(found.waiting**2 / sum(lag**2 for lag in found.lag.values())))


def _is_large(found: PipelineEstimate) -> bool:
    """Is the backlog more than what comes in some seconds? How a smaller one is spread says nothing."""
    return found.waiting >= SKEWED_LAG_S * max(1.0, found.arrival_per_s)


def _share(seen: Estimate, rules: Rules, pipeline: str, model: str) -> float:
    """How much of a model's work is this pipeline's, 0 to 1."""

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
    """What was asked for, when, and how long it takes to come."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.start_s = START_S
        self._asked: dict[int, float] = {}  # the how manieth replica -> since when it is awaited
        self._lately, self._longer = SlidingMax(DOWN_S), SlidingMax(IDLE_S)
        self._followed = self._gone = False

    def notice(self, at: float, replicas: int) -> None:
        """So many are up now."""
        self._gone = self._gone or replicas == 0
        if self.target == 0 and self._gone and replicas:
            self.follow(at, 1)  # Serve has woken one, for a call that waited for it
        if replicas:
            self._gone = False
        for number in [number for number in self._asked if number <= replicas]:
            took_s = at - self._asked.pop(number)
            self.start_s = min(MAX_START_S, max(MIN_START_S, (self.start_s + took_s) / 2))

    def coming_s(self, at: float, replicas: int) -> float:
        """Replica-seconds of the next `start_s` that those which are on their way will bring."""
        return sum(
            min(self.start_s, max(0.0, at - asked)) for number, asked in self._asked.items() if number > replicas
        )

    def follow(self, at: float, wanted: int) -> int:
        """Up at once; down to the most that was wanted lately."""
        if not self._followed:  # what it found running was wanted until now
            self._followed = True
            self.follow(at, self.target)
        lately, longer = self._lately.add(at, wanted), self._longer.add(at, wanted)
        return self.ask_for(at, lately or min(longer, 1))

    def ask_for(self, at: float, target: int) -> int:
        """So many, whatever was wanted lately."""
        for number in range(self.target + 1, target + 1):
            self._asked[number] = at
        for number in [number for number in self._asked if number > target]:
            del self._asked[number]
        self.target = target
        return target


class _WorkerTarget:
    """Moves seldom: each move is a rebalance."""

    def __init__(self, target: int, bounds: Bounds) -> None:
        self.target, self._bounds = target, bounds
        self._since: float | None = None
        self._moved_at = -math.inf
        self._least, self._most = SlidingMax(WORKERS_UP_S), SlidingMax(WORKERS_DOWN_S)

    def follow(self, at: float, wanted: int) -> int:
        """Up when more was wanted for some seconds, down to the most that was for many."""
        if self._since is None:
            self._since = at
        least, most = -self._least.add(at, -wanted), self._most.add(at, wanted)
        if at - self._moved_at < BETWEEN_MOVES_S:
            return self.target
        if least > self.target and at - self._since >= WORKERS_UP_S:
            self._moved_at, self.target = at, math.ceil(wanted * WORKERS_ROOM)
        elif most * WORKERS_ROOM < self.target and at - self._since >= WORKERS_DOWN_S:
            self._moved_at, self.target = at, most
        self.target = self._bounds.of(self.target)
        return self.target
