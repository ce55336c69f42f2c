"""Calls that each worker keeps in flight, so that no replica of its models is idle between calls. Pure."""

import math
from collections.abc import Iterable, Mapping

# One call runs and one waits. Replicas join waiting calls and answer them together, so a third call fills the gap.
CALLS_PER_REPLICA = 3
MIN_CALLS = 4  # for one replica: calls being produced and acknowledged count as well


def calls_per_worker(
    models_of: Mapping[str, Iterable[str]], replicas: Mapping[str, int], workers: Mapping[str, int]
) -> dict[str, int]:
    """Calls in flight for each worker, by pipeline.

    - `models_of`: the models that each pipeline may use.
    - `replicas`, `workers`: numbers that are up, by model and by pipeline.

    All workers of all pipelines that may use a model share its replicas.
    """
    users: dict[str, int] = {}
    for pipeline, models in models_of.items():
        for model in models:
            users[model] = users.get(model, 0) + workers.get(pipeline, 0)
    return {
        pipeline: max(
            MIN_CALLS,
            sum(math.ceil(CALLS_PER_REPLICA * replicas.get(model, 0) / max(1, users[model])) for model in models),
        )
        for pipeline, models in models_of.items()
    }
