"""What Serve's controller asks: the control plane has decided, these only tell.

Serve calls an autoscaling policy per deployment, in its controller, ten times a second; one for a whole application it
takes from a config file only. So the control plane, which knows all lags and speeds, decides
(deploy/control/autoscaler.py), and its targets come here the way of Serve's custom metrics: its own policy keeps the
newest, the others read them in the same process. Nothing here waits, or raises; what is too old counts for nothing, and
the replicas stay as they are.
"""

import logging
import time
import warnings
from collections.abc import Callable
from typing import Any

from ray.serve.config import AutoscalingConfig, AutoscalingContext, AutoscalingPolicy

from labelstream.deploy.control.scaling import target_store

logger = logging.getLogger(__name__)
METRICS_S = 1.0
STALE_S = 20.0


class PublishTargetsPolicy:
    """The control plane's policy: its metrics are all deployments' targets. The control plane itself stays as it is."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock

    def __call__(self, context: AutoscalingContext) -> tuple[int, dict[str, Any]]:
        try:
            self._keep(context)
        except Exception as error:  # whatever Serve shows: its controller has to go on
            logger.warning("the control plane's targets cannot be read: %s", type(error).__name__)
        return context.target_num_replicas, {}

    def _keep(self, context: AutoscalingContext) -> None:
        told_at, targets = 0.0, {}
        for deployment, replicas in (context.raw_metrics or {}).items():
            last = max(
                (series[-1] for series in replicas.values() if series), key=lambda point: point.timestamp, default=None
            )
            if last is not None:
                told_at = max(told_at, last.timestamp)
                targets[deployment] = int(last.value)
        if targets:
            target_store.keep(context.app_name, target_store.Targets(told_at, self._clock(), targets))


class FollowTargetsPolicy:
    """Every other deployment's policy: what the control plane has told lately, else what there is."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock

    def __call__(self, context: AutoscalingContext) -> tuple[int, dict[str, Any]]:
        targets = target_store.of(context.app_name)
        now = context.target_num_replicas
        if targets is None or self._clock() - targets.came_at > STALE_S:
            return now, {}
        return targets.by_deployment.get(context.deployment_name, now), {}


def config(policy: type, least: int, most: int) -> AutoscalingConfig:
    """Serve's part: no delays and no averages of its own, and metrics every second instead of every ten."""
    with warnings.catch_warnings():
        # The field is to be replaced by a variable that each of the cluster's processes would have to have.
        warnings.simplefilter("ignore", DeprecationWarning)
        return AutoscalingConfig(
            min_replicas=least,
            max_replicas=most,
            metrics_interval_s=METRICS_S,
            look_back_period_s=5 * METRICS_S,
            upscale_delay_s=0,
            downscale_delay_s=0,
            downscale_to_zero_delay_s=0,
            policy=AutoscalingPolicy(policy_function=policy),
        )
