"""Who gets which partition: cooperative sticky, without what kafka-python's own lets happen.

Read in kafka-python 3.0.12, coordinator/assignors/cooperative_sticky.py: a member whose membership was lost goes on
claiming what it held (`member_assignment`), although others hold it by then. The leader believes whoever it reads last;
a partition that it believes to be the member's own is given to it at once, while the other one still has work of it in
flight: both commit, in the same generation, and results come out twice. Seen on a real broker after a loop that was
blocked past max.poll.interval.ms.

So: a membership that is lost takes its claims with it, and what two members claim is nobody's until both have let go.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.structs import TopicPartition


class Assignor(CooperativeStickyAssignor):
    """Speaks the protocol of its base, so that both may be in one group."""

    def forget(self) -> None:
        """The membership is lost: claim nothing of what was held in it."""
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
