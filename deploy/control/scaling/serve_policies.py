"""Autoscaling policies for Serve's controller: they hand on what the control plane has decided.

The targets come as custom metrics of the control plane: its policy stores the newest, and the other policies read them
in the same process. The policies never wait and never raise. If the targets are too old, the replicas stay as they are.
docs/adr/0005-control-plane-decides.md has the reasons.
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
    """Policy of the control plane: stores the targets of all deployments. The control plane itself does not scale."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock

    def __call__(self, context: AutoscalingContext) -> tuple[int, dict[str, Any]]:
        try:
            self._keep(context)
        except Exception as error:  # whatever Serve passes: its controller must go on
            logger.warning("the control plane's targets are unreadable: %s", type(error).__name__)
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
    """Policy of all other deployments: the recent target, else the present number."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock

    def __call__(self, context: AutoscalingContext) -> tuple[int, dict[str, Any]]:
        targets = target_store.of(context.app_name)
        now = context.target_num_replicas
        if targets is None or self._clock() - targets.came_at > STALE_S:
            return now, {}
        return targets.by_deployment.get(context.deployment_name, now), {}


def config(policy: type, min_replicas: int, max_replicas: int) -> AutoscalingConfig:
    """Serve's options: no delays, no averages, and metrics every second instead of every ten."""
    with warnings.catch_warnings():
        # The successor of this field is an environment variable, which each process of the cluster would need.
        warnings.simplefilter("ignore", DeprecationWarning)
        return AutoscalingConfig(
            min_replicas=min_replicas,
            max_replicas=max_replicas,
            metrics_interval_s=METRICS_S,
            look_back_period_s=5 * METRICS_S,
            upscale_delay_s=0,
            downscale_delay_s=0,
            downscale_to_zero_delay_s=0,
            policy=AutoscalingPolicy(policy_function=policy),
        )
