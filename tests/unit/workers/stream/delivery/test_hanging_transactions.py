"""Which transactions hang: asked of a fake of the admin client; a real broker's are in the integration tests."""

import threading
from typing import Any, NamedTuple

import pytest
from kafka.errors import NotCoordinatorError, TopicAuthorizationFailedError
from kafka.structs import TopicPartition

from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.delivery import hanging_transactions
from labelstream.workers.stream.delivery.hanging_transactions import OFFSETS, HangingTransactions

OUT = TopicPartition("out", 0)
PIPELINE = PipelineSettings.model_validate({"input": "in", "output": "out", "dead_letter": "dead", "model": "m"})


class Producer(NamedTuple):
    producer_id: int
    current_transaction_start_offset: int
    last_timestamp: int = 0


class Producers(NamedTuple):
    active_producers: list[Producer]


class Named(NamedTuple):
    value: str


class Listing(NamedTuple):
    transactional_id: str
    producer_id: int
    state: Named


class FakeAdmin:
    """`opens`: what is open in partition 0 of the output, call by call; the last one stays. `forbidden`: topics."""

    def __init__(self, opens: list[list[Producer]], listings: list[Listing], forbidden: tuple[str, ...] = ()) -> None:
        self.opens, self.listings, self.forbidden = opens, listings, forbidden
        self.asked = 0
        self.fails: Exception | None = None

    def describe_topics(self, topics: list[str]) -> list[dict[str, Any]]:
        return [{"name": topic, "partitions": [{"partition_index": 0}]} for topic in topics]

    def describe_producers(self, partitions: list[TopicPartition]) -> dict[TopicPartition, Producers]:
        self.asked += 1
        if self.fails:
            raise self.fails
        if any(partition.topic in self.forbidden for partition in partitions):
            raise TopicAuthorizationFailedError
        found = {partition: Producers([]) for partition in partitions}
        if OUT in found:
            found[OUT] = Producers(self.opens.pop(0) if len(self.opens) > 1 else self.opens[0])
        return found

    def list_transactions(self) -> dict[int, list[Listing]]:
        return {1: self.listings}

    def close(self) -> None:
        pass


@pytest.fixture
def ended() -> list[str]:
    return []


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch, ended: list[str]) -> Any:
    """look(admin) is what looks through that admin client, for the group `g`."""

    def make(admin: FakeAdmin) -> HangingTransactions:
        monkeypatch.setattr(hanging_transactions, "KafkaAdminClient", lambda **_: admin)
        return HangingTransactions({}, KafkaSettings(bootstrap_servers="x:1"), PIPELINE, "g", ended.append)

    return make


def closed(transactional_id: str = "g-1", state: str = "CompleteAbort", producer_id: int = 7) -> Listing:
    return Listing(transactional_id, producer_id, Named(state))


def test_hanging_transaction_closed_at_coordinator_is_ended(look: Any, ended: list[str]) -> None:
    admin = FakeAdmin([[Producer(7, 5), Producer(8, -1)]], [closed(), closed("g-2", producer_id=8)])
    assert look(admin).end() == ended == ["g-1"]


@pytest.mark.parametrize(
    ("opens", "listing"),
    [
        ([[Producer(7, -1)]], closed()),
        ([[Producer(7, 5)]], closed(state="Ongoing")),
        ([[Producer(7, 5)]], closed(state="PrepareAbort")),
        ([[Producer(7, 5)]], closed("another-1")),
        ([[Producer(7, 5, last_timestamp=2**62)]], closed()),
        ([[Producer(7, 5)], [Producer(7, -1)]], closed()),  # its marker came while we looked
        ([[Producer(7, 5)], [Producer(7, 9)]], closed()),  # and the next one has begun
        ([[Producer(6, 5)]], closed()),
    ],
    ids=["closed", "going on", "being aborted", "another group's", "young", "just closed", "the next one", "unknown"],
)
def test_what_does_not_hang_is_left_alone(
    look: Any, ended: list[str], opens: list[list[Producer]], listing: Listing
) -> None:
    assert look(FakeAdmin(opens, [listing])).end() == ended == []


def test_without_permission_it_says_so_once(look: Any, caplog: pytest.LogCaptureFixture) -> None:
    admin = FakeAdmin([[Producer(7, 5)]], [closed()], forbidden=("out",))
    looking = look(admin)
    assert looking.end() == looking.end() == []
    assert admin.asked == 1
    assert caplog.text.count("no permission to read out, dead: ") == 1


def test_the_groups_offsets_are_looked_at_where_that_is_allowed(look: Any) -> None:
    for forbidden, asked in (((), 4), ((OFFSETS,), 4)):
        admin = FakeAdmin([[Producer(7, 5)]], [closed()], forbidden)
        assert look(admin).end() == ["g-1"]
        assert admin.asked == asked


def test_a_broker_that_does_not_answer_is_asked_again(look: Any, ended: list[str]) -> None:
    admin = FakeAdmin([[Producer(7, 5)]], [closed()])
    looking = look(admin)
    admin.fails = NotCoordinatorError()
    assert looking.end() == []
    admin.fails = None
    assert looking.end() == ended == ["g-1"]


def test_they_are_looked_for_until_the_worker_stops(look: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    looking, waits = look(FakeAdmin([[]], [])), iter([False, False, True])
    rounds: list[float] = []
    monkeypatch.setattr(looking, "end", lambda: rounds.append(0))

    class Stopped(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout == KafkaSettings(bootstrap_servers="x:1").transaction_timeout_ms / 1000
            if next(waits):
                self.set()
            return self.is_set()

    stopped = Stopped()
    looking.keep_ending(stopped)
    threading.Event.wait(stopped, 10)
    assert len(rounds) == 2
