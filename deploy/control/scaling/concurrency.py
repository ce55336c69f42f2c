"""How many calls each worker keeps open, so that no replica of its models waits for the next one. Pure."""

import math
from collections.abc import Iterable, Mapping

# One runs and one waits; replicas join what waits, and both come back at once: the third one fills the gap.
CALLS_PER_REPLICA = 3
MIN_CALLS = 4  # of one replica: what is being sent and acknowledged counts as well


def calls_per_worker(
    models_of: Mapping[str, Iterable[str]], replicas: Mapping[str, int], workers: Mapping[str, int]
) -> dict[str, int]:
    """By pipeline. `models_of`: the models that each may use; `replicas` of each model and `workers` of each pipeline
    that are up. A model's replicas are shared by the workers of all pipelines that may use it.
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
