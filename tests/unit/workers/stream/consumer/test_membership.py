"""What a membership that was lost leaves behind: on kafka-python's own consumer, whose inner parts it stands on."""

from collections.abc import Iterator
from typing import Any

import pytest
from kafka import KafkaConsumer
from kafka.coordinator.base import Generation
from kafka.structs import (
    MemberState,  # pyright: ignore[reportAttributeAccessIssue]
    TopicPartition,
)

from labelstream.workers.errors import StreamError
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.consumer.source import RecordSource
from tests.support.fakes import UNREACHABLE

A = TopicPartition("in", 0)


PIPELINE = PipelineSettings.model_validate({"input": "in", "output": "out", "dead_letter": "dead", "model": "m"})


@pytest.fixture
def consumer() -> Iterator[Any]:
    """Never connected; its polls bring nothing."""
    consumer: Any = KafkaConsumer(**UNREACHABLE, group_id="g", enable_auto_commit=False)
    poll, consumer.poll = consumer.poll, lambda **_: {}
    yield consumer
    consumer.poll = poll
    consumer.close(autocommit=False, timeout_ms=0)


@pytest.fixture
def source(consumer: Any) -> RecordSource:
    """Its consumer is in a group, and holds A."""
    source = RecordSource(consumer, PIPELINE)
    source.assignment.on_partitions_assigned({A})
    joined(consumer)
    return source


def joined(consumer: Any) -> None:
    consumer._coordinator.state = MemberState.STABLE
    consumer._coordinator.rejoin_needed = False
    consumer._subscription.change_subscription(["in"])  # as the metadata would
    consumer._coordinator._joined_subscription = {"in"}


def test_member_without_partitions_has_joined(consumer: Any) -> None:
    source = RecordSource(consumer, PIPELINE)
    assert not source.is_member()
    joined(consumer)
    assert source.is_member()


def test_pre_loss_assignment_is_stale_after_rejoin(source: RecordSource, consumer: Any) -> None:
    """Hazard: a member that is counted out while it joins again is not told, and goes on where it stood."""
    source.poll(0, paused=False)
    consumer._coordinator.reset_generation()
    joined(consumer)
    with pytest.raises(StreamError, match="removed this worker"):
        source.poll(0, paused=False)


def test_reported_membership_loss_ends_with_next_assignment(source: RecordSource, consumer: Any) -> None:
    consumer._coordinator.reset_generation()
    source.assignment.on_partitions_lost({A})
    source.assignment.on_partitions_assigned({A})
    joined(consumer)
    assert source.poll(0, paused=False) == []


def test_while_it_joins_again_nothing_is_decided(source: RecordSource, consumer: Any) -> None:
    consumer._coordinator.reset_generation()
    consumer._coordinator.rejoin_needed = True
    assert source.poll(0, paused=False) == []


def test_old_progress_is_not_committed_in_new_generation(source: RecordSource, consumer: Any) -> None:
    """Hazard: a join that is under way has its new generation already, while what is held is still the old."""
    coordinator = consumer._coordinator
    coordinator._generation = Generation(1, "me", "cooperative-sticky")
    assert source.committer.group_metadata().generation_id == 1
    coordinator.reset_generation()
    assert source.committer.group_metadata() is None
    coordinator._generation = Generation(3, "me again", "cooperative-sticky")
    coordinator.rejoin_needed = True
    progress = source.assignment.get(A)
    assert progress is not None
    progress.receive(0, 9)
    progress.finish(9)
    consumer.commit = consumer.commit_async = lambda *_, **__: pytest.fail("committed")
    assert source.committer.group_metadata() is None
    source.committer.commit()
    assert source.committer.commit_and_wait(100) is False
    source.assignment.on_partitions_lost({A})
    source.assignment.on_partitions_assigned({A})
    assert source.committer.group_metadata().generation_id == 3


def test_a_new_assignment_asks_for_its_offsets_anew(source: RecordSource, consumer: Any) -> None:
    """Hazard: an answer that was asked for in an earlier poll is used for a partition that came back since."""
    asked = consumer._coordinator._offset_fetch_futures
    asked[frozenset({A})] = object()
    source.assignment.on_partitions_assigned({A})
    assert not asked


def test_a_join_that_outlasted_its_poll_stays_wanted(source: RecordSource, consumer: Any) -> None:
    """Hazard: the leader's rejoin for new metadata is forgotten when the join times out: REBALANCING for good."""
    asked: list[str] = []
    consumer._coordinator.state = MemberState.REBALANCING
    consumer._coordinator.request_rejoin = lambda: asked.append("rejoin")
    source.joining()
    assert asked == ["rejoin"]


def test_no_join_begins_while_something_is_handed_over(source: RecordSource, consumer: Any) -> None:
    """Hazard: a poll that brings a revocation goes on with the join that gives the partitions away."""
    source.assignment.on_partitions_revoked({A})
    consumer._coordinator.request_rejoin()
    assert not source.joining()
    assert not consumer._coordinator.need_rejoin()
    source.assignment.release()
    assert source.joining()
    assert consumer._coordinator.need_rejoin()
