"""Never an offset whose result is not acknowledged, and never one of an assignment that is over."""

import pytest
from kafka.structs import TopicPartition

from labelstream.workers.errors import StreamError
from labelstream.workers.stream.consumer.assignment import PartitionAssignment, as_kafka

A, B = TopicPartition("t", 0), TopicPartition("t", 1)


def test_only_what_is_done_is_committable() -> None:
    owned = PartitionAssignment()
    owned.on_partitions_assigned([A, B])
    progress = owned.get(A)
    assert progress is not None
    progress.receive(10, 14)
    progress.receive(15, 19)
    assert owned.committable() == {A: 10}
    progress.finish(14)
    assert owned.committable() == {A: 15}
    owned.committed({A: 15})
    assert owned.committable() == {}
    progress.finish(19)
    assert owned.committable() == {A: 20}


def test_revoked_partition_may_finish_until_released() -> None:
    owned = PartitionAssignment()
    owned.on_partitions_assigned([A, B])
    progress = owned.get(A)
    assert progress is not None
    progress.receive(0, 9)
    progress.finish(4)
    assert owned.revoking_s() is None
    owned.on_partitions_revoked({A})
    assert owned.revoking_s() is not None
    assert owned.get(A) is None
    assert owned.get(B) is not None
    assert not progress.revoked
    progress.finish(7)
    assert owned.committable() == {A: 8}
    owned.committed({A: 8})
    owned.release()
    assert progress.revoked
    assert owned.revoking_s() is None
    progress.finish(9)
    assert owned.committable() == {}


def test_partition_lost_while_revoking_is_lost() -> None:
    owned = PartitionAssignment()
    owned.on_partitions_assigned([A])
    progress = owned.get(A)
    assert progress is not None
    progress.receive(0, 9)
    owned.on_partitions_revoked({A})
    owned.on_partitions_lost({A})
    assert progress.revoked
    assert owned.revoking_s() is None
    progress.finish(9)
    assert owned.committable() == {}


def test_a_partition_that_comes_back_starts_anew() -> None:
    owned = PartitionAssignment()
    owned.on_partitions_assigned([A])
    old = owned.get(A)
    assert old is not None
    old.receive(0, 9)
    owned.on_partitions_lost({A})
    assert owned.committable() == {}
    owned.on_partitions_assigned([A])
    new = owned.get(A)
    assert new is not None
    new.receive(0, 4)
    old.finish(9)
    assert owned.committable() == {A: 0}


def test_a_rewound_log_is_an_error() -> None:
    owned = PartitionAssignment()
    owned.on_partitions_assigned([A])
    progress = owned.get(A)
    assert progress is not None
    progress.receive(5, 9)
    with pytest.raises(StreamError, match="rewound"):
        progress.receive(5, 9)
    progress.finish(9)
    with pytest.raises(StreamError, match="finished"):
        progress.finish(5)


def test_an_older_commit_does_not_go_back() -> None:
    owned = PartitionAssignment()
    owned.on_partitions_assigned([A])
    progress = owned.get(A)
    assert progress is not None
    progress.receive(0, 9)
    progress.finish(9)
    owned.committed({A: 10})
    owned.committed({A: 3})
    assert owned.committable() == {}


def test_a_note_goes_with_every_commit_until_something_is_finished() -> None:
    """Also with one that only passes offsets without a record, as those of control records."""
    owned = PartitionAssignment()
    owned.on_partitions_assigned([A])
    progress = owned.get(A)
    assert progress is not None
    progress.begin(10, "", "")
    owned.noted({A: (10, "a note")})
    assert owned.committable() == {}
    progress.receive(12, 14)
    assert owned.committable() == {A: 12}
    assert as_kafka({A: 12}, owned.notes())[A] == (12, "a note", -1)
    progress.finish(12)
    assert owned.committable() == {A: 13}
    assert as_kafka({A: 13}, owned.notes())[A] == (13, "", -1)


def test_a_skip_takes_the_note_away() -> None:
    owned = PartitionAssignment()
    owned.on_partitions_assigned([A])
    progress = owned.get(A)
    assert progress is not None
    progress.begin(10, "a note", "an older note")
    progress.skip_to(20)
    assert (progress.note, progress.prior) == ("", "")
