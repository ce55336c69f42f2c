"""What the coordinator knows of an id's last transaction."""

from types import SimpleNamespace
from typing import Any

import pytest
from kafka.errors import (
    CoordinatorNotAvailableError,
    NotCoordinatorError,
    TransactionalIdAuthorizationFailedError,
    TransactionalIdNotFoundError,
)

from labelstream.workers.stream.delivery import last_transaction
from labelstream.workers.stream.delivery.last_transaction import ATTEMPTS, LastTransaction


@pytest.fixture
def last(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A last transaction; `answers`: states or errors of the coordinator."""
    found: Any = LastTransaction({"client_id": "x"}, "an-id", sleep=lambda seconds: None)
    found.answers = []

    def describe(ids: list[str]) -> dict[str, Any]:
        answer = found.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {ids[0]: SimpleNamespace(state=SimpleNamespace(value=answer))}

    admin = SimpleNamespace(describe_transactions=describe, close=lambda: None)
    monkeypatch.setattr(last_transaction, "KafkaAdminClient", lambda **_: admin)
    return found


@pytest.mark.parametrize(
    ("answer", "committed"),
    [
        ("CompleteCommit", True),
        ("PrepareCommit", True),
        ("Ongoing", False),
        ("CompleteAbort", False),
        ("Empty", False),
        (TransactionalIdNotFoundError(), False),
        (ValueError("no such state"), False),
    ],
)
def test_coordinator_tells_whether_the_last_transaction_was_committed(last: Any, answer: Any, committed: bool) -> None:
    last.answers = [answer]
    last.look()
    assert last.was_committed is committed


def test_commit_is_known_until_the_markers_are_written(last: Any) -> None:
    last.answers = ["CompleteCommit", "Empty"]
    last.look()
    last.look()
    assert last.was_committed
    last.cleared()
    assert not last.was_committed


def test_coordinator_that_starts_is_asked_again(last: Any) -> None:
    last.answers = [NotCoordinatorError(), CoordinatorNotAvailableError(), "CompleteCommit"]
    last.look()
    assert last.was_committed
    last.answers = [NotCoordinatorError() for _ in range(ATTEMPTS)]
    with pytest.raises(NotCoordinatorError):
        last.look()


def test_other_errors_of_the_coordinator_are_raised(last: Any) -> None:
    last.answers = [TransactionalIdAuthorizationFailedError()]
    with pytest.raises(TransactionalIdAuthorizationFailedError):
        last.look()
