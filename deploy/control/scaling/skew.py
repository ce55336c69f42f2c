"""How evenly a backlog is spread over its partitions: one worker reads a partition, whatever the number of workers."""

import math

from labelstream.deploy.control.scaling.estimator import PipelineEstimate

SKEWED_SHARE, SKEWED_LAG_S = 0.5, 10.0


def warning_of(found: PipelineEstimate) -> str | None:
    """A warning if one partition holds most of the backlog."""
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


def holding(found: PipelineEstimate) -> int:
    """Effective number of partitions in the backlog: inverse of the sum of squared shares; all partitions without a
    backlog.
    """
    if not _is_large(found):
        return max(1, len(found.lag))
    return max(1, math.ceil(found.waiting**2 / sum(lag**2 for lag in found.lag.values())))


def _is_large(found: PipelineEstimate) -> bool:
    """Whether the backlog is more than a few seconds of arrivals; the spread of a smaller one means nothing."""
    return found.waiting >= SKEWED_LAG_S * max(1.0, found.arrival_per_s)
