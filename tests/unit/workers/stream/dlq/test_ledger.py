"""Which dead letters were sent again, and the topic that says so."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.errors import KafkaError, TopicAlreadyExistsError

from labelstream.workers.errors import StartError
from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.stream.dlq import ledger as ledger_
from labelstream.workers.stream.dlq.ledger import RedriveLedger, ensure_ledger, ledger_topic, peek_ledger
from tests.support.dead_letters import ledger_of, letter
from tests.support.fake_admin import NOT_ALLOWED, FakeAdmin

KAFKA = KafkaSettings(bootstrap_servers="127.0.0.1:1")
TOPIC = ledger_topic("dlq")
COMPACT = {"cleanup.policy": "compact"}


class Admin(FakeAdmin):
    """Makes topics, or fails with `error`."""

    error: KafkaError | None = None

    def create_topics(self, topics: dict[str, Any], wait_for_metadata: bool) -> None:
        if self.error is not None and not isinstance(self.error, TopicAlreadyExistsError):
            raise self.error
        self._topics |= {topic: settings["configs"] for topic, settings in topics.items()}
        if self.error is not None:
            raise self.error

    def close(self) -> None: ...


def ensure(monkeypatch: pytest.MonkeyPatch, admin: FakeAdmin) -> bool:
    monkeypatch.setattr(ledger_, "KafkaAdminClient", lambda **_: admin)
    return ensure_ledger({}, KAFKA, TOPIC)


def test_ledger_is_created_compacted_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert TOPIC == "dlq.redriven"
    admin = Admin({})
    assert ensure(monkeypatch, admin)
    assert admin._topics == {TOPIC: COMPACT}
    assert not ensure(monkeypatch, admin)


def test_ledger_that_another_redrive_has_just_created_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    admin = Admin({})
    admin.error = TopicAlreadyExistsError()
    assert ensure(monkeypatch, admin)


def test_ledger_that_cannot_be_created_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    admin = Admin({})
    admin.error = KafkaError("no")
    with pytest.raises(StartError, match=r"cannot be created \(KafkaError\); create it with `lab"):
        ensure(monkeypatch, admin)


@pytest.mark.parametrize(
    ("admin", "problem"),
    [
        (Admin({TOPIC: {"cleanup.policy": "delete"}}), "cleanup.policy is delete, which would delete redrive entries"),
        (Admin({TOPIC: None}), "no permission to see whether it is compacted; grant DESCRIBE_CONFIGS"),
        (Admin({TOPIC: COMPACT}, allowed={TOPIC: ["READ"]}), "no permission to use it as the ledger of redrives"),
        (Admin({TOPIC: COMPACT}, errors={TOPIC: NOT_ALLOWED}), "no permission to use it as the ledger of redrives"),
    ],
    ids=["not compacted", "settings unknown", "not writable", "not seen"],
)
def test_ledger_that_will_not_do_says_why(monkeypatch: pytest.MonkeyPatch, admin: Admin, problem: str) -> None:
    with pytest.raises(StartError, match=problem):
        ensure(monkeypatch, admin)


def test_look_at_a_ledger_that_is_not_there_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_, "KafkaAdminClient", lambda **_: Admin({}))
    found = peek_ledger({}, KAFKA, TOPIC)
    assert isinstance(found, RedriveLedger)
    assert letter(1).record not in found


def test_look_at_a_ledger_without_permission_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_, "KafkaAdminClient", lambda **_: Admin({}, errors={TOPIC: NOT_ALLOWED}))
    with pytest.raises(StartError, match="no permission to see which dead letters were redriven; grant READ"):
        peek_ledger({}, KAFKA, TOPIC)


def test_a_letter_is_known_by_its_place_and_time() -> None:
    ledger = ledger_of(letter(1))
    assert letter(1).record in ledger
    other = letter(1)
    later: Any = other.record
    later.timestamp += 1
    assert later not in ledger
    assert letter(2).record not in ledger


def test_a_tombstone_allows_it_again() -> None:
    ledger = ledger_of(letter(1))
    ledger.take(SimpleNamespace(key=b"dlq/0/1", value=None))  # type: ignore[arg-type]
    assert letter(1).record not in ledger


@given(
    st.one_of(st.none(), st.binary()),
    st.one_of(st.none(), st.binary(), st.sampled_from([b"[" * 50_000, b'{"timestamp_ms": 1e999}'])),
)
def test_what_is_none_of_ours_is_passed_over(key: bytes | None, value: bytes | None) -> None:
    ledger = ledger_of(letter(1))
    ledger.take(SimpleNamespace(key=key, value=value))  # type: ignore[arg-type]
    assert letter(1).record in ledger
