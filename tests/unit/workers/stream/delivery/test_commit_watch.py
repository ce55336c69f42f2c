"""A commit counts as complete if the coordinator says so over the connection that the commit used."""

from types import SimpleNamespace
from typing import Any

import pytest
from kafka.errors import KafkaConnectionError
from kafka.future import Future

from labelstream.workers.stream.delivery import commit_watch
from labelstream.workers.stream.delivery.commit_watch import CommitWatch
from tests.support.transactions_bench import Link


def watch(link: Link) -> CommitWatch:
    producer: Any = SimpleNamespace(
        _transaction_manager=SimpleNamespace(transactional_id="an-id", _transaction_coordinator="coordinator-0"),
        _sender=SimpleNamespace(_client=SimpleNamespace(_manager=link)),
    )
    return CommitWatch(producer, sleep=lambda seconds: None)


def test_complete_commit_over_one_connection_has_its_markers() -> None:
    link = Link()
    link.states = ["PrepareCommit", "PrepareCommit", "CompleteCommit"]
    assert watch(link).saw_completion()
    assert link.asked == 3


def test_complete_commit_over_a_new_connection_may_lack_markers() -> None:
    link = Link()
    watched = watch(link)
    link.reconnect()
    assert not watched.saw_completion()


def test_closed_connection_at_the_start_may_lack_markers() -> None:
    link = Link()
    link._conns["coordinator-0"].connected = False
    watched = watch(link)
    assert not watched.saw_completion()


@pytest.mark.parametrize("state", [KafkaConnectionError(), "", "CompleteAbort"], ids=["error", "refused", "aborted"])
def test_coordinator_that_does_not_tell_may_lack_markers(state: str | Exception) -> None:
    link = Link()
    link.states = ["PrepareCommit", state]
    assert not watch(link).saw_completion()


def test_silent_coordinator_may_lack_markers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_watch, "RESPONSE_S", 0.0)
    link = Link()
    link.send = lambda request, node_id: Future()  # type: ignore[method-assign]
    assert not watch(link).saw_completion()


def test_closed_producer_may_lack_markers() -> None:
    link = Link()
    watched = watch(link)

    def closed(call: Any) -> Any:
        raise RuntimeError("NetworkSelector closed!")

    link.call_soon = closed  # type: ignore[method-assign]
    assert not watched.saw_completion()
