"""May we join the group, and who else is in it?"""

import logging

import pytest
from kafka.errors import CoordinatorNotAvailableError, GroupAuthorizationFailedError, GroupIdNotFoundError, KafkaError

from labelstream.workers.stream.broker import group_check
from labelstream.workers.stream.broker.finding import Finding
from labelstream.workers.stream.broker.group_check import COORDINATOR_TRIES, group_findings
from tests.support.fake_admin import FakeAdmin

OURS = ("labelstream", "10.0.0.1")
COORDINATOR = CoordinatorNotAvailableError


@pytest.fixture(autouse=True)
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_check, "COORDINATOR_WAIT_S", 0.0)


def findings(joining: list[type[KafkaError]] | None = None, *members: tuple[str, str], assignor: str) -> list[Finding]:
    return group_findings(FakeAdmin({}, joining=joining or [], members=members, assignor=assignor), "k", "g")


@pytest.mark.parametrize("joining", [[], [GroupIdNotFoundError], [COORDINATOR] * (COORDINATOR_TRIES - 1)])
def test_group_of_ours_alone_is_no_finding(joining: list[type[KafkaError]]) -> None:
    assert findings(joining, OURS, OURS, assignor="cooperative-sticky") == []
    assert findings(joining, assignor="") == []


@pytest.mark.parametrize(
    ("joining", "said"),
    [
        ([GroupAuthorizationFailedError], "no permission to read group g; grant READ on it"),
        ([COORDINATOR] * COORDINATOR_TRIES, "no broker coordinates group g; look at the brokers' logs"),
    ],
)
def test_group_that_takes_nobody_is_named(joining: list[type[KafkaError]], said: str) -> None:
    assert findings(joining, assignor="") == [Finding("k", said)]


def test_others_who_share_partitions_in_another_way_keep_us_out() -> None:
    [found] = findings(None, ("billing", "10.0.0.2"), assignor="range")
    assert (found.key, found.level) == ("k", logging.CRITICAL)
    assert found.text.startswith("group g is in use by billing at 10.0.0.2, with the assignor range, and refuses")
    assert "set another group_id" in found.text


def test_others_beside_us_take_messages_away() -> None:
    members = [OURS, *((f"billing-{number}", "10.0.0.2") for number in range(7))]
    [found] = findings(None, *members, assignor="cooperative-sticky")
    assert found.level == logging.ERROR
    assert "is shared with billing-0 at 10.0.0.2, " in found.text
    assert "billing-4 at 10.0.0.2 and 2 more: their messages are not classified" in found.text
