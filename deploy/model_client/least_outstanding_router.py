"""The router of calls, by least outstanding requests: a call goes to the replica with the fewest calls of this caller.

docs/adr/0006-least-loaded-router.md compares this router with Serve's own.
"""

import heapq
import random
from collections import Counter
from typing import Any

from ray.serve.request_router import FIFOMixin, PendingRequest, ReplicaID, RequestRouter, RunningReplica

MAX_CANDIDATES = 16  # the next candidates are tried if the first replica is full or gone


class LeastOutstandingRouter(FIFOMixin, RequestRouter):
    """Counts the calls that are sent to each replica and not completed. Runs on the router's event loop."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sent: Counter[ReplicaID] = Counter()

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """See `RequestRouter.choose_replicas`: ranks of one replica each; ties are in random order."""
        if pending_request is not None:
            pending_request.routing_context.should_backoff = True  # there is no smaller set of candidates to try first
        shuffled = random.sample(candidate_replicas, len(candidate_replicas))
        best = heapq.nsmallest(MAX_CANDIDATES, shuffled, key=lambda replica: self._sent[replica.replica_id])
        return [[replica] for replica in best]

    def on_send_request(self, replica_id: ReplicaID) -> None:
        """Hook of Serve: a call was sent to this replica."""
        super().on_send_request(replica_id)
        self._sent[replica_id] += 1

    def on_request_completed(self, replica_id: ReplicaID, internal_request_id: str) -> None:
        """Hook of Serve, once for each call that was sent: answered, refused, cancelled or lost."""
        super().on_request_completed(replica_id, internal_request_id)
        self._sent[replica_id] -= 1
        if self._sent[replica_id] <= 0:
            del self._sent[replica_id]
