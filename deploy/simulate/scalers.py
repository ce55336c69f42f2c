"""The policies of the simulator: Labelstream's, Ray Serve's, and KEDA's lag threshold."""

import math
from collections import deque
from typing import NamedTuple

from labelstream.deploy.control.scaling.estimator import Estimator
from labelstream.deploy.control.scaling.limits import Bounds, ModelRules, PipelineRules, Rules
from labelstream.deploy.control.scaling.policy import Policy
from labelstream.deploy.control.scaling.sliding_max import SlidingMax
from labelstream.deploy.names import by_deployment
from labelstream.deploy.simulate.cluster import Cluster
from labelstream.deploy.simulate.view import MODEL, PIPELINE, View


class Ours:
    """Labelstream's policy, as it runs in the application, on equal readings."""

    def __init__(self, cluster: Cluster, target_drain_s: float, max_lag_s: float, min_replicas: int = 1) -> None:
        pipeline = PipelineRules(Bounds(1, cluster.max_workers), (MODEL,), target_drain_s, max_lag_s, cluster.calls)
        rules = Rules({MODEL: ModelRules(Bounds(min_replicas, cluster.max_replicas))}, {PIPELINE: pipeline})
        self._estimator, self._rules = Estimator(), rules
        self._policy: Policy | None = None

    def decide(self, view: View) -> tuple[int, int]:
        readings = view.readings()
        if self._policy is None:  # starts with the replicas that run
            workers = len(readings.pipelines[PIPELINE].workers)
            self._policy = Policy(self._rules, by_deployment({MODEL: view.replicas}, {PIPELINE: workers}))
        decision = self._policy.decide(self._estimator.see(readings))
        return decision.models[MODEL], decision.pipelines[PIPELINE]


class ServeSetting(NamedTuple):
    target_ongoing_requests: float = 2.0
    upscale_delay_s: float = 30.0
    downscale_delay_s: float = 600.0


class ServeDefault:
    """Ray Serve's own policy: ongoing requests, averaged over 30 s, divided by the target per replica.

    Follows `replica_queue_length_autoscaling_policy` and `_apply_delay_logic` of Ray 2.60
    (serve/autoscaling_policy.py). The number of workers is constant, at the maximum.
    """

    LOOK_BACK_S = 30.0

    def __init__(self, cluster: Cluster, setting: ServeSetting) -> None:
        self._cluster, self._setting = cluster, setting
        self._ongoing: deque[tuple[float, float]] = deque()
        self._target: int | None = None
        self._since: float | None = None
        self._direction = 0

    def decide(self, view: View) -> tuple[int, int]:
        at, setting = view.at, self._setting
        self._ongoing.append((at, view.ongoing()))
        while self._ongoing[0][0] < at - self.LOOK_BACK_S:
            self._ongoing.popleft()
        average = sum(value for _, value in self._ongoing) / len(self._ongoing)
        if self._target is None:
            self._target = view.replicas
        desired = max(1, math.ceil(average / setting.target_ongoing_requests)) if view.replicas else self._target
        desired = min(desired, self._cluster.max_replicas)
        direction = (desired > self._target) - (desired < self._target)
        if direction != self._direction:
            self._direction, self._since = direction, at
        delay_s = setting.upscale_delay_s if direction > 0 else setting.downscale_delay_s
        if direction and self._since is not None and at - self._since >= delay_s:
            self._target, self._direction = desired, 0
        return self._target, self._cluster.max_workers


class KedaSetting(NamedTuple):
    lag_threshold: int = 5_000
    polling_s: float = 30.0
    stabilization_s: float = 300.0


class KedaLag:
    """KEDA's Kafka scaler over a HorizontalPodAutoscaler: replicas = total lag / lagThreshold.

    The HPA decides every 15 s, tolerates 10%, and at most doubles (or adds 4) in 15 s. It scales down to the maximum
    of the stabilization window. These are the defaults of `behavior` in Kubernetes 1.33, with a window of 300 s. KEDA's
    cap at the number of partitions does not apply, because the replicas are models and not consumers.
    """

    SYNC_S = 15.0
    TOLERANCE = 0.1

    def __init__(self, cluster: Cluster, setting: KedaSetting) -> None:
        self._cluster, self._setting = cluster, setting
        self._polled_at = self._synced_at = -math.inf
        self._lag = 0
        self._window_max = SlidingMax(setting.stabilization_s)
        self._target: int | None = None

    def decide(self, view: View) -> tuple[int, int]:
        at = view.at
        if self._target is None:
            self._target = view.replicas
        if at - self._polled_at >= self._setting.polling_s and (lag := view.lag()) is not None:
            self._polled_at, self._lag = at, lag
        if at - self._synced_at >= self.SYNC_S:
            self._synced_at = at
            self._sync(at)
        return self._target, self._cluster.max_workers

    def _sync(self, at: float) -> None:
        assert self._target is not None
        now = max(1, self._target)
        ratio = self._lag / (self._setting.lag_threshold * now)
        wanted = now if abs(ratio - 1) <= self.TOLERANCE else math.ceil(now * ratio)
        wanted = max(1, min(wanted, max(2 * now, now + 4), self._cluster.max_replicas))
        window_max = self._window_max.add(at, wanted)
        self._target = wanted if wanted > now else window_max
