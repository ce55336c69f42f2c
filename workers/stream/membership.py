"""Seeing a join through: what kafka-python's consumer forgets when one outlasts a poll.

Read in kafka-python 3.0.12, coordinator/base.py and consumer.py:

* The leader's rejoin after new topic metadata exists only as a comparison that the join itself makes equal
  (`need_rejoin`, `_perform_assignment`). When that poll times out, later polls do not take the join's answer: the
  member stays in REBALANCING for good, sends no heartbeat and spins.
* A join that ended between two polls is thrown away and begun again (`join_group_async`: `_join_task.is_done`), a
  rebalance for the whole group; members that all poll with a timeout of zero may never agree.

So: a join that is under way stays wanted, and whoever polls while one is wanted gives it time.
"""

from typing import Any

from kafka import KafkaConsumer
from kafka.structs import MemberState  # pyright: ignore[reportAttributeAccessIssue]


class Membership:
    """A look into `consumer`'s group membership; call it from the thread that polls."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        consumer_: Any = consumer
        self._coordinator = consumer_._coordinator

    def joining(self) -> bool:
        """Does the next poll begin or continue a join?"""
        if self._coordinator.state is MemberState.REBALANCING:
            self._coordinator.request_rejoin()
        return bool(self._coordinator.need_rejoin())
