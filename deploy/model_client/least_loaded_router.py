"""Which replica a call goes to: the one that has the fewest of this caller's calls.

Serve's own router looks at two random replicas. With two or three calls per replica in flight that leaves some of them
without any while others have a queue: see the comparison in `make bench-scaling`. It also goes by what a replica
last said of its queue, others' calls included, for up to ten seconds: with several workers, replicas that are idle
again are passed over. And it prefers replicas of the caller's own node, which would keep a GPU beside a worker busy and
others idle. Each worker spreads its own calls evenly, and so they are spread evenly all together.
"""

import heapq
import random
from collections import Counter
from typing import Any

from ray.serve.request_router import FIFOMixin, PendingRequest, ReplicaID, RequestRouter, RunningReplica

MAX_CANDIDATES = 16  # the next ones are tried where the first is full or gone


class LeastOutstandingRequests(FIFOMixin, RequestRouter):
    """Counts what was sent to each replica and has not come back. On the router's event loop, as all of it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sent: Counter[ReplicaID] = Counter()

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """See `RequestRouter.choose_replicas`: ranks of one replica each, of equals in random order."""
        if pending_request is not None:
            pending_request.routing_context.should_backoff = True  # there is no smaller set to try before
        shuffled = random.sample(candidate_replicas, len(candidate_replicas))
        best = heapq.nsmallest(MAX_CANDIDATES, shuffled, key=lambda replica: self._sent[replica.replica_id])
        return [[replica] for replica in best]

    def on_send_request(self, replica_id: ReplicaID) -> None:
        """Serve's hook: a call was sent there."""
        super().on_send_request(replica_id)
        self._sent[replica_id] += 1

    def on_request_completed(self, replica_id: ReplicaID, internal_request_id: str) -> None:
        """Serve's hook, once for each call that was sent, however it ended: answered, refused, cancelled, lost."""
        super().on_request_completed(replica_id, internal_request_id)
        self._sent[replica_id] -= 1
        if self._sent[replica_id] <= 0:
            del self._sent[replica_id]
