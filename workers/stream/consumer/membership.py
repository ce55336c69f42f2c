"""Seeing a join through: what kafka-python's consumer forgets when one outlasts a poll, and what it should forget.

Read in kafka-python 3.0.12, coordinator/base.py and consumer.py:

* The leader's rejoin after new topic metadata exists only as a comparison that the join itself makes equal
  (`need_rejoin`, `_perform_assignment`). When that poll times out, later polls do not take the join's answer: the
  member stays in REBALANCING for good, sends no heartbeat and spins.
* A join that ended between two polls is thrown away and begun again (`join_group_async`: `_join_task.is_done`), a
  rebalance for the whole group; members that all poll with a timeout of zero may never agree.
* Committed offsets that were asked for in a poll that timed out are kept for the next poll that asks for the same
  partitions (`_offset_fetch_futures`), also when these went to another member and came back in between: what that one
  committed would be done again, and in exactly-once nobody would notice, because the generation is right.
* A member that is counted out while it is joining again is not told so: `_on_join_prepare_async`, which reports lost
  partitions, runs once per rejoin. It comes back under a new id, claims what it held, and goes on where it stood,
  although others may have had these partitions in between.

* One poll goes on until its time is up: a poll that brings a revocation begins the join that gives the partitions away
  as well. From then on the member's commits are refused and no heartbeat goes out, until some later poll ends the join:
  who finishes first what is in flight cannot commit it, and is counted out.

So: a join that is under way stays wanted, whoever polls while one is wanted gives it time, a new assignment asks for
its offsets anew, what was held before a membership was lost may not be held after it, nor claimed (assignor.py), and no
join begins while something is being handed over.
"""

from collections.abc import Callable, Collection
from typing import Any

from kafka import KafkaConsumer
from kafka.structs import MemberState, TopicPartition  # pyright: ignore[reportAttributeAccessIssue]

from labelstream.workers.stream.consumer.assignor import Assignor


class Membership:
    """A look into `consumer`'s group membership; call it from the thread that polls.

    `losses`: how often it was lost. What was assigned before the last time is no longer ours. While `handing_over`
    holds, no join begins: the member stays what it is, and alive.
    """

    def __init__(self, consumer: KafkaConsumer, handing_over: Callable[[], bool]) -> None:
        consumer_: Any = consumer
        self._coordinator = consumer_._coordinator
        self.losses = 0
        reset_generation = self._coordinator.reset_generation

        def count_and_reset(*arguments: Any, **more: Any) -> Any:
            self.losses += 1
            for assignor in self._coordinator._assignors.values():
                if isinstance(assignor, Assignor):
                    assignor.forget()
            return reset_generation(*arguments, **more)

        need_rejoin = self._coordinator.need_rejoin
        self._coordinator.reset_generation = count_and_reset
        self._coordinator.need_rejoin = lambda: not handing_over() and need_rejoin()

    def joining(self) -> bool:
        """Does the next poll begin or continue a join?"""
        if self._coordinator.state is MemberState.REBALANCING:
            self._coordinator.request_rejoin()
        return bool(self._coordinator.need_rejoin())

    def forget_offsets(self) -> None:
        """Ask the broker anew for committed offsets, whatever was asked for before. From whatever thread."""
        self._coordinator._offset_fetch_futures.clear()

    def committed(self, partitions: Collection[TopicPartition], timeout_ms: int) -> dict[TopicPartition, int]:
        """The group's offsets, where it has one, in one request. Raises kafka's own errors."""
        return {partition: offset for partition, (offset, _) in self.notes(partitions, timeout_ms).items()}

    def notes(self, partitions: Collection[TopicPartition], timeout_ms: int) -> dict[TopicPartition, tuple[int, str]]:
        """As `committed`, with the offsets' metadata."""
        found = self._coordinator.fetch_committed_offsets(list(partitions), timeout_ms=timeout_ms)
        return {partition: (committed.offset, committed.metadata or "") for partition, committed in found.items()}
