"""Workarounds for kafka-python's group membership: joins longer than a poll, and state that outlives a membership.

Behavior of kafka-python 3.0.12, coordinator/base.py and consumer.py:

* The leader's rejoin after new topic metadata is only a comparison, which the join itself makes equal (`need_rejoin`,
  `_perform_assignment`). If that poll times out, later polls ignore the join's response: the member stays in
  REBALANCING forever, sends no heartbeat and spins.
* A join that ends between two polls is discarded and restarted (`join_group_async`: `_join_task.is_done`), which
  rebalances the whole group. Members that all poll with a timeout of zero may never finish.
* Committed offsets requested in a poll that timed out are kept for the next poll of the same partitions
  (`_offset_fetch_futures`), even if another member owned these in between. Records which that member committed would
  be repeated, and exactly-once delivery would not notice, because the generation is valid.
* A member that is removed from the group while it rejoins is not told: `_on_join_prepare_async`, which reports lost
  partitions, runs once per rejoin. The member returns under a new id, claims its old partitions and resumes at its old
  offsets, although others may have owned these partitions in between.
* One poll runs until its timeout: a poll that receives a revocation also starts the join that gives the partitions
  away. From then on the member's commits are refused, and no heartbeat goes out until a later poll ends the join. A
  member that first finishes its records in flight cannot commit them and is removed from the group.

Here an unfinished join stays requested, and callers poll long enough for it. A new assignment reads its offsets again.
Partitions of a lost membership are neither kept nor claimed (assignor.py). No join starts during a handover.
"""

from collections.abc import Callable, Collection
from typing import Any

from kafka import KafkaConsumer
from kafka.errors import KafkaTimeoutError, RetriableError  # pyright: ignore[reportAttributeAccessIssue]
from kafka.protocol.consumer import OffsetFetchRequest  # pyright: ignore[reportAttributeAccessIssue]
from kafka.structs import MemberState, TopicPartition  # pyright: ignore[reportAttributeAccessIssue]

from labelstream.workers.stream.consumer.assignor import Assignor


class Membership:
    """Access to `consumer`'s group membership. Use from the thread that polls.

    `losses`: how often the membership was lost; partitions assigned before the last loss belong to others. While
    `revoking_s()` is not None, no join starts and the member stays in the group.
    """

    def __init__(self, consumer: KafkaConsumer, revoking_s: Callable[[], float | None]) -> None:
        consumer_: Any = consumer
        self._coordinator = consumer_._coordinator
        self.losses = 0
        reset_generation = self._coordinator.reset_generation

        def count_and_reset(*args: Any, **kwargs: Any) -> Any:
            self.losses += 1
            for assignor in self._coordinator._assignors.values():
                if isinstance(assignor, Assignor):
                    assignor.forget()
            return reset_generation(*args, **kwargs)

        need_rejoin = self._coordinator.need_rejoin
        self._coordinator.reset_generation = count_and_reset
        self._coordinator.need_rejoin = lambda: revoking_s() is None and need_rejoin()

    def joining(self) -> bool:
        """Does the next poll start or continue a join?"""
        if self._coordinator.state is MemberState.REBALANCING:
            self._coordinator.request_rejoin()
        return bool(self._coordinator.need_rejoin())

    def forget_offsets(self) -> None:
        """Discard pending requests for committed offsets, so that the next poll asks the broker. Thread-safe."""
        self._coordinator._offset_fetch_futures.clear()

    def committed(self, partitions: Collection[TopicPartition], timeout_ms: int) -> dict[TopicPartition, int]:
        """Return the group's committed offsets where they exist, in one request. Raises KafkaError."""
        return {partition: offset for partition, (offset, _) in self.notes(partitions, timeout_ms).items()}

    def has_offsets(self, timeout_ms: int) -> bool:
        """Does the group have any committed offset, in whatever topic? Raises KafkaError."""
        coordinator, manager = self._coordinator, self._coordinator._manager
        if not coordinator.ensure_coordinator_ready(timeout_ms=timeout_ms):
            raise KafkaTimeoutError
        request = manager.call_soon(self._all_offsets)
        try:
            coordinator._net.run(manager.wait_for, request, timeout_ms)
        except RetriableError as error:
            raise KafkaTimeoutError from error
        return bool(request.value)

    async def _all_offsets(self) -> Any:
        """The group's offsets in all topics. kafka-python 3.0.12 builds no such request for a consumer."""
        coordinator, group = self._coordinator, self._coordinator.group_id
        groups = [OffsetFetchRequest.OffsetFetchRequestGroup(group_id=group, topics=None)]
        request = OffsetFetchRequest(
            group_id=group, topics=None, groups=groups, require_stable=True, min_version=2, max_version=8
        )
        response = await coordinator._manager.send(request, node_id=coordinator.coordinator())
        return coordinator._handle_offset_fetch_response(response)

    def notes(self, partitions: Collection[TopicPartition], timeout_ms: int) -> dict[TopicPartition, tuple[int, str]]:
        """Return offsets and their metadata; otherwise as `committed`."""
        offsets = self._coordinator.fetch_committed_offsets(list(partitions), timeout_ms=timeout_ms)
        return {partition: (committed.offset, committed.metadata or "") for partition, committed in offsets.items()}
