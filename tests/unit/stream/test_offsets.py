"""Never an offset whose result is not acknowledged, and never one of an assignment that is over."""

import pytest
from kafka import TopicPartition

from workers.errors import StreamError
from workers.stream.offsets import Offsets, Ownership

A, B = TopicPartition("t", 0), TopicPartition("t", 1)


def ownership() -> tuple[Ownership, list[Offsets]]:
    commits: list[Offsets] = []
    return Ownership(commits.append), commits


def test_only_what_is_done_is_committable() -> None:
    owned, _ = ownership()
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


def test_a_revoked_partition_commits_what_was_done_and_nothing_later() -> None:
    owned, commits = ownership()
    owned.on_partitions_assigned([A, B])
    progress = owned.get(A)
    assert progress is not None
    progress.receive(0, 9)
    progress.finish(4)
    owned.on_partitions_revoked({A})
    assert commits == [{A: 5}]
    assert progress.revoked
    progress.finish(9)
    assert owned.committable() == {}
    assert owned.get(A) is None
    assert owned.get(B) is not None


def test_a_partition_that_comes_back_starts_anew() -> None:
    owned, commits = ownership()
    owned.on_partitions_assigned([A])
    old = owned.get(A)
    assert old is not None
    old.receive(0, 9)
    owned.on_partitions_lost({A})
    assert commits == []
    owned.on_partitions_assigned([A])
    new = owned.get(A)
    assert new is not None
    new.receive(0, 4)
    old.finish(9)
    assert owned.committable() == {A: 0}


def test_a_rewound_log_is_an_error() -> None:
    owned, _ = ownership()
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
    owned, _ = ownership()
    owned.on_partitions_assigned([A])
    progress = owned.get(A)
    assert progress is not None
    progress.receive(0, 9)
    progress.finish(9)
    owned.committed({A: 10})
    owned.committed({A: 3})
    assert owned.committable() == {}
