"""Cooperative sticky partition assignor that ignores claims of lost memberships.

In kafka-python 3.0.12, coordinator/assignors/cooperative_sticky.py, a member that lost its membership still claims its
old partitions (`member_assignment`), although other members own them by then. The leader believes the last claim that
it reads and assigns the partition at once, while the other owner still has records in flight. Both commit in the same
generation, and results are duplicated. Seen on a real broker after a loop that was blocked past max.poll.interval.ms.

Here a lost membership drops its claims, and a partition that two members claim stays unassigned until both drop it.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.structs import TopicPartition


class Assignor(CooperativeStickyAssignor):
    """Uses the protocol of its base class, so that both can be in one group."""

    def forget(self) -> None:
        """Drop all claims: the membership is lost."""
        self.member_assignment, self.generation = None, self.DEFAULT_GENERATION_ID

    def assign(self, cluster: Any, members: Sequence[Any]) -> dict[str, Any]:
        """See the base: {member id: its assignment}."""
        assigned: dict[str, Any] = super().assign(cluster, members)
        claims = Counter(
            partition for member in members for partition in self.parse_member_metadata(member.metadata).partitions
        )
        for assignment in assigned.values():
            assignment.assigned_partitions = [
                (topic, [number for number in numbers if claims[TopicPartition(topic, number)] < 2])
                for topic, numbers in assignment.assigned_partitions
            ]
        return assigned
