"""`labelstream dlq redrive`: asks before it sends, and reports what it sent."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from labelstream.deploy.cli.common.connect import Broker
from labelstream.deploy.cli.dlq import redrive as command
from labelstream.workers.errors import StreamError
from labelstream.workers.stream.broker.connection import IN_MEMORY_API
from labelstream.workers.stream.dlq import ledger, query, redrive, redrive_transactions
from labelstream.workers.stream.dlq.ledger import RedriveLedger
from labelstream.workers.stream.dlq.redrive import Target, Targets
from labelstream.workers.stream.dlq.redrive_transactions import Redriven
from tests.support.dead_letters import ledger_of, letter
from tests.unit.deploy.cli.conftest import Ended, Run, fails

LETTERS = [letter(1), letter(2), letter(3, topic="other")]


class Brokers:
    """Fakes of a topic `dlq` with LETTERS. `redriven`: the ledger. `sent`: the sent letters with their topic."""

    def __init__(self) -> None:
        self.config: dict[str, Any] = {}
        self.redriven = ledger_of(LETTERS[0])
        self.sent: list[tuple[str, int]] = []
        self.error: StreamError | None = None
        self.has_ledger = False
        self.inputs = ["in"]

    @contextmanager
    def redriving(
        self, config: Any, kafka: Any, dead_letter: str, max_bytes: int
    ) -> Iterator[tuple[Any, RedriveLedger]]:
        assert (dead_letter, max_bytes) == ("dlq", 10_000)
        yield self, self.redriven

    def send(self, chunk: Sequence[Redriven]) -> None:
        if self.error is not None:
            raise self.error
        self.sent += [(one.to, one.letter.offset) for one in chunk]

    def ensure_ledger(self, config: Any, kafka: Any, topic: str) -> bool:
        created, self.has_ledger = not self.has_ledger, True
        assert topic == "dlq.redriven"
        return created


@pytest.fixture
def brokers(monkeypatch: pytest.MonkeyPatch) -> Brokers:
    made = Brokers()

    @contextmanager
    def reader(broker: Broker, topics: list[str], from_beginning: bool) -> Iterator[None]:
        yield

    def describe(config: Any, kafka: Any, topics: list[str], to: str | None) -> Targets:
        found = {topic: Target(topic, 2, 10_000) for topic in topics}
        return Targets({}, found[to]) if to else Targets(found)

    monkeypatch.setattr(command, "connect", lambda kafka: Broker(kafka, made.config))
    monkeypatch.setattr(command, "require_topic", lambda broker, topic, right: None)
    monkeypatch.setattr(command, "reader", reader)
    monkeypatch.setattr(command, "read_now", lambda broker, pipeline: made.inputs)
    monkeypatch.setattr(redrive, "describe_targets", describe)
    monkeypatch.setattr(query, "bounds_of", lambda config, kafka, consumer, wanted: {})
    monkeypatch.setattr(query, "find_letters", lambda kafka, consumer, bounds, wanted: iter(LETTERS))
    monkeypatch.setattr(ledger, "peek_ledger", lambda config, kafka, topic: made.redriven)
    monkeypatch.setattr(ledger, "ensure_ledger", made.ensure_ledger)
    monkeypatch.setattr(redrive_transactions, "redriving", made.redriving)
    return made


@pytest.fixture
def redriven(run: Run, write_config: Callable[..., str], brokers: Brokers) -> Callable[..., Ended]:
    return lambda *options: run("dlq", "redrive", "-c", write_config(), *options)


def test_redrive_skips_letters_in_the_ledger(redriven: Callable[..., Ended], brokers: Brokers) -> None:
    ended = redriven("--yes")
    assert (ended.code, brokers.sent) == (0, [("in", 2)])
    assert ended.err.splitlines() == [
        "created the compacted topic dlq.redriven, the ledger of redrives",
        "1 dead letter sent to in",
        "1 not sent: made of another topic's records (--to sends them) (0:3)",
        "1 not sent: redriven already (0:1)",
    ]


def test_letters_go_back_to_their_topics(redriven: Callable[..., Ended], brokers: Brokers) -> None:
    brokers.inputs = ["in", "other"]
    ended = redriven("--yes")
    assert brokers.sent == [("in", 2), ("other", 3)]
    assert "2 dead letters sent to their input topics" in ended.err


def test_dry_run_sends_nothing(redriven: Callable[..., Ended], brokers: Brokers) -> None:
    ended = redriven("--dry-run")
    assert (ended.code, brokers.sent, brokers.has_ledger) == (0, [], False)
    assert ended.err.splitlines()[0] == "1 dead letter would be sent to in"


def test_other_topic_accepts_letters_of_any_source(redriven: Callable[..., Ended], brokers: Brokers) -> None:
    redriven("--yes", "--to", "repair")
    assert brokers.sent == [("repair", 2), ("repair", 3)]


def test_limit_counts_sent_letters(redriven: Callable[..., Ended], brokers: Brokers) -> None:
    redriven("--yes", "--to", "repair", "--limit", "1")
    assert brokers.sent == [("repair", 2)]


def test_failed_redrive_reports_sent_letters(redriven: Callable[..., Ended], brokers: Brokers) -> None:
    brokers.error, brokers.has_ledger = StreamError("the broker is away"), True
    fails(redriven("--yes"), 1, "after 0 dead letters: the broker is away")


def test_broker_without_transactions_is_refused(redriven: Callable[..., Ended], brokers: Brokers) -> None:
    brokers.config["api_version"] = IN_MEMORY_API
    fails(redriven("--yes"), 1, "the in-memory broker has no real transactions")
    assert brokers.sent == []


def test_redrive_without_terminal_needs_yes(
    redriven: Callable[..., Ended], brokers: Brokers, stdin: Callable[[bytes], None]
) -> None:
    stdin(b"y\n")
    fails(redriven(), 2, "--yes: is missing, and there is no terminal to ask on")
    assert brokers.sent == []
