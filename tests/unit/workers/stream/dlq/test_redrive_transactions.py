"""The transaction of a redrive: kafka-python's word is not taken for it."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.errors import KafkaTimeoutError, ProducerFencedError

from labelstream.workers.errors import StreamError
from labelstream.workers.stream.codec.encoding.producer_record import ProducerRecord
from labelstream.workers.stream.dlq.redrive_transactions import Redriven, Redriver

LETTER: Any = SimpleNamespace(topic="dlq", partition=0, offset=3, timestamp=1)
CHUNK = [Redriven(LETTER, "in", ProducerRecord(b"value", b"k", []))]


class FakeProducer:
    """Notes what is called; `on` says what else happens then."""

    def __init__(self, **on: Any) -> None:
        self.calls: list[str] = []
        self.known = SimpleNamespace(producer_id=7, epoch=0)
        self._transaction_manager = SimpleNamespace(producer_id_and_epoch=self.known)
        self._on = on

    def __getattr__(self, name: str) -> Any:
        def call(*_: Any) -> Any:
            self.calls.append(name)
            self._on.get(name, lambda _: None)(self)
            return SimpleNamespace(get=lambda _: self._on.get("ack", lambda _: None)(self))

        return call


def anew(producer: FakeProducer) -> None:
    producer.known.epoch += 1


def raising(error: Exception) -> Any:
    def call(_: FakeProducer) -> None:
        raise error

    return call


def test_a_chunk_is_one_transaction() -> None:
    producer: Any = FakeProducer()
    Redriver(producer, "dlq.redriven", 5).send(CHUNK * 2)
    assert producer.calls == ["begin_transaction", *["send"] * 4, "commit_transaction"]


@pytest.mark.parametrize(
    "on",
    [
        {"begin_transaction": raising(ProducerFencedError())},
        {"send": raising(ValueError("no such partition"))},
        {"ack": raising(KafkaTimeoutError())},
        {"ack": anew},
    ],
)
def test_what_fails_before_the_commit_is_aborted(on: Any) -> None:
    producer: Any = FakeProducer(**on)
    with pytest.raises(StreamError, match="no record of the last chunk was redriven; run it again"):
        Redriver(producer, "dlq.redriven", 5).send(CHUNK)
    assert producer.calls[-1] == "abort_transaction"
    assert "commit_transaction" not in producer.calls


def test_an_interrupted_chunk_is_aborted() -> None:
    producer: Any = FakeProducer(ack=raising(KeyboardInterrupt()))  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        Redriver(producer, "dlq.redriven", 5).send(CHUNK)
    assert producer.calls[-1] == "abort_transaction"


def test_a_commit_that_is_not_confirmed_is_no_success() -> None:
    ended = threading.Event()
    for commit in (anew, raising(ProducerFencedError()), lambda _: ended.wait(20)):
        producer: Any = FakeProducer(commit_transaction=commit)
        with pytest.raises(StreamError, match="the commit was not confirmed"):
            Redriver(producer, "dlq.redriven", 0.05).send(CHUNK)
        assert producer.calls[-1] == "commit_transaction"
    ended.set()
