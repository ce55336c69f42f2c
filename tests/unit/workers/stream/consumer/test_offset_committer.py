"""Offsets are committed behind what is done, and never of an assignment that is no longer ours."""

from typing import Any

import pytest
from kafka.errors import (
    CommitFailedError,
    GroupAuthorizationFailedError,
    KafkaTimeoutError,
    RebalanceInProgressError,
    TopicAuthorizationFailedError,
)
from kafka.structs import (
    ConsumerGroupMetadata,  # pyright: ignore
    TopicPartition,
)

from labelstream.workers.errors import StreamError
from labelstream.workers.stream.consumer.assignment import PartitionAssignment
from labelstream.workers.stream.consumer.offset_committer import OffsetCommitter
from labelstream.workers.stream.stats import Stats

A = TopicPartition("in", 0)


class Group:
    """Stands in for a consumer and its membership. `outcome`: what the brokers say to a commit."""

    def __init__(self) -> None:
        self.commits: list[dict[TopicPartition, tuple[int, str]]] = []
        self.outcome: Exception | None = None
        self.losses = 0
        self.metadata = ConsumerGroupMetadata(group_id="g", generation_id=3, member_id="me")

    def commit_async(self, offsets: dict[TopicPartition, Any], callback: Any) -> None:
        self._commit(offsets)
        callback(offsets, self.outcome)

    def commit(self, offsets: dict[TopicPartition, Any], timeout_ms: int) -> None:
        self._commit(offsets)
        if self.outcome is not None:
            raise self.outcome

    def group_metadata(self) -> Any:
        return self.metadata

    def committed(self, partitions: list[TopicPartition], timeout_ms: int) -> dict[TopicPartition, int]:
        if self.outcome is not None:
            raise self.outcome
        return dict.fromkeys(partitions, 5)

    def _commit(self, offsets: dict[TopicPartition, Any]) -> None:
        self.commits.append({partition: (entry.offset, entry.metadata) for partition, entry in offsets.items()})


class Bench:
    """A holds records 0..9, of which `done` are done."""

    def __init__(self, done: int = 5) -> None:
        self.group, self.stats, self.now = Group(), Stats(), 0.0
        self.assignment = PartitionAssignment()
        self.assignment.on_partitions_assigned([A])
        progress = self.assignment.get(A)
        assert progress is not None
        self.progress = progress
        progress.begin(0, "", "")
        progress.receive(0, 9)
        progress.finish(done - 1)
        group: Any = self.group
        self.committer = OffsetCommitter(group, group, self.assignment, self.stats, lambda: self.now)


def test_commit_of_what_is_done_is_made_once() -> None:
    bench = Bench()
    bench.committer.commit()
    bench.committer.commit()
    assert bench.committer.commit_and_wait(100)
    assert bench.group.commits == [{A: (5, "")}]
    bench.progress.finish(6)
    assert bench.committer.commit_and_wait(100)
    assert bench.group.commits[1:] == [{A: (7, "")}]


def test_commit_with_nothing_done_asks_no_broker() -> None:
    bench = Bench(done=0)
    bench.committer.commit()
    assert bench.committer.commit_and_wait(100)
    assert bench.group.commits == []


def test_failed_commit_is_made_again() -> None:
    bench = Bench()
    bench.group.outcome = RebalanceInProgressError()
    bench.committer.commit()
    assert bench.assignment.committable() == {A: 5}
    bench.group.outcome = None
    bench.committer.commit()
    assert (len(bench.group.commits), bench.assignment.committable()) == (2, {})


@pytest.mark.parametrize("error", [GroupAuthorizationFailedError(), TopicAuthorizationFailedError()])
def test_commit_after_one_that_failed_for_good_raises(error: Exception) -> None:
    bench = Bench()
    bench.group.outcome = error
    bench.committer.commit()
    with pytest.raises(StreamError, match=f"offsets cannot be committed .{type(error).__name__}."):
        bench.committer.commit()


@pytest.mark.parametrize("error", [CommitFailedError(), RebalanceInProgressError()])
def test_awaited_commit_in_a_rebalance_is_to_be_tried_again(error: Exception) -> None:
    bench = Bench()
    bench.group.outcome = error
    assert not bench.committer.commit_and_wait(100)
    assert bench.assignment.committable() == {A: 5}


def test_awaited_commit_that_fails_raises() -> None:
    bench = Bench()
    bench.group.outcome = KafkaTimeoutError("no broker")
    with pytest.raises(StreamError, match=r"commit failed \(KafkaTimeoutError: "):
        bench.committer.commit_and_wait(100)
    assert bench.assignment.committable() == {A: 5}


def test_stale_assignment_is_not_committed() -> None:
    bench = Bench()
    bench.group.losses = 1
    bench.committer.commit()
    assert not bench.committer.commit_and_wait(100)
    assert bench.committer.group_metadata() is None
    assert bench.group.commits == []


def test_commit_time_is_told_by_the_clock() -> None:
    bench = Bench()
    told: list[tuple[str, float]] = []
    bench.stats.took = lambda name, seconds: told.append((name, seconds))  # type: ignore[method-assign]
    answer: list[Any] = []
    bench.group.commit_async = lambda offsets, callback: answer.append(callback)  # type: ignore[method-assign]
    bench.committer.commit()
    bench.now = 0.25
    answer[0](None, None)
    assert told == [("commit_s", 0.25)]


@pytest.mark.parametrize(
    ("generation", "member", "fenced"),
    [(-1, "", False), (-1, "me", False), (3, "", False), (0, "me", True), (3, "me", True)],
)
def test_only_a_member_of_a_generation_can_be_fenced(generation: int, member: str, fenced: bool) -> None:
    """Hazard: after being kicked out the client's metadata has generation -1, which a broker takes without a check."""
    bench = Bench()
    bench.group.metadata = ConsumerGroupMetadata(group_id="g", generation_id=generation, member_id=member)
    assert bench.committer.group_metadata() is (bench.group.metadata if fenced else None)


def test_committed_offsets_that_brokers_do_not_tell_are_none() -> None:
    bench = Bench()
    assert bench.committer.committed([A]) == {A: 5}
    bench.group.outcome = KafkaTimeoutError()
    assert bench.committer.committed([A]) is None
