"""Which replica a call goes to: the one with the fewest calls that are known to it.

Serve's own router looks at two random replicas. With two or three calls per replica in flight that leaves some of them
without any while others have a queue: see the comparison in `python -m tests.scaling`. It also prefers replicas of the
caller's own node, which would keep a GPU beside a worker busy and others idle.
"""

import random

from ray.serve.request_router import FIFOMixin, PendingRequest, RequestRouter, RunningReplica


class LeastLoaded(FIFOMixin, RequestRouter):
    """All replicas are candidates, of which Serve takes the one with the shortest queue, the first of several.

    It knows a queue from its own calls and from what the replica said when it accepted the last one.
    """

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """See `RequestRouter.choose_replicas`: one rank, in random order."""
        if pending_request is not None:
            pending_request.routing_context.should_backoff = True  # there is no smaller set to try before
        return [random.sample(candidate_replicas, len(candidate_replicas))]
