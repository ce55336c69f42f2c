"""After a refusal each record goes alone, so that the one at fault is known, and what the broker has goes not again."""

from collections import Counter
from typing import Any

import pytest
from kafka.errors import InvalidRecordError, KafkaTimeoutError, MessageSizeTooLargeError

from labelstream.schemas.dead_letter import Reason, Stage
from labelstream.workers.errors import RecordRefused, StreamError
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.broker.topics import TopicLimits
from labelstream.workers.stream.codec.encoding.producer_record import ProducerRecord
from labelstream.workers.stream.codec.rejection import Rejection
from labelstream.workers.stream.consumer.assignment import PartitionProgress
from labelstream.workers.stream.micro_batch import Item, MicroBatch
from labelstream.workers.stream.producer.produced_batch import ProducedBatch
from labelstream.workers.stream.producer.refusal_isolation import RefusalIsolation
from labelstream.workers.stream.producer.topic_requirements import TopicRequirements
from tests.support.pipeline_bench import A, Ack, record

SETTINGS = PipelineSettings.model_validate({"input": "in", "output": "out", "dead_letter": "dead", "model": "m"})
RESULT = ProducerRecord(b"{}", b"k", [])


class Late(Ack):
    """Not acknowledged in time, until the test says so."""

    def get(self, timeout: float) -> None:
        if not self.is_done:
            raise KafkaTimeoutError
        super().get(timeout)


class Producer:
    """Acknowledges at once, but for what the test says. `replaced`: how often it was given up."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.replaced = 0
        self.next_ack: Ack | None = None
        self.error: Exception | None = None

    def send(self, topic: str, record: ProducerRecord) -> Ack:
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        self.sent.append(topic)
        ack, self.next_ack = self.next_ack or Ack(), None
        if not isinstance(ack, Late) and not ack.is_done:
            ack.success(None)
        return ack

    def refused(self) -> None:
        self.replaced += 1


def item(offset: int = 0) -> Item:
    return Item(record(offset, b"{}"), PartitionProgress(A), model="m")


def dead(offset: int = 0) -> Item:
    return item(offset)._replace(rejection=Rejection(Reason.INVALID_JSON, Stage.DECODE, "DecodeError", "no"))


def micro_batch(*items: Item) -> MicroBatch:
    return MicroBatch(list(items), [], [], Counter(), 0.0)


class Bench:
    def __init__(self) -> None:
        self.producer, self.rules = Producer(), TopicRequirements("p", SETTINGS, TopicLimits())
        producer: Any = self.producer
        self.isolation = RefusalIsolation(SETTINGS, producer, self.rules, 0.0)
        self.produced = ProducedBatch(micro_batch(item()))

    def begin(self, *items: Item) -> bool:
        """A micro-batch of `items`: does it go one by one?"""
        self.isolation.begin(micro_batch(*items))
        return self.isolation.active

    def send(self, topic: str = "out", offset: int = 0) -> bool:
        return self.isolation.send(self.produced, topic, RESULT, item(offset))


def failed(error: Exception) -> Ack:
    ack = Ack()
    ack.failure(error)
    return ack


def test_micro_batch_goes_at_once_while_nothing_was_refused() -> None:
    bench = Bench()
    assert not bench.begin(item())
    assert bench.send()
    assert len(bench.produced.sent) == 1


def test_micro_batches_after_a_refusal_go_one_by_one() -> None:
    bench = Bench()
    bench.isolation.isolate(2)
    assert bench.begin(item())
    bench.isolation.end(whole=False)  # a head of it
    assert bench.begin(item())
    bench.isolation.end(whole=True)
    assert bench.begin(item())
    bench.isolation.end(whole=True)
    assert not bench.begin(item())


def test_dead_letters_go_one_by_one_until_their_topic_took_one() -> None:
    bench = Bench()
    assert bench.begin(dead())
    assert bench.send("dead")
    assert not bench.begin(dead(1))


def test_refused_record_is_told_and_the_producer_replaced() -> None:
    bench, error = Bench(), MessageSizeTooLargeError()
    bench.isolation.isolate(1)
    bench.begin(item())
    bench.producer.next_ack = failed(error)
    assert not bench.send()
    assert bench.rules.refusals("out", item()) == [error]
    assert (bench.producer.replaced, bench.produced.sent) == (1, [])


def test_refusal_among_neighbours_blames_no_record() -> None:
    bench = Bench()
    bench.begin(item())
    bench.producer.error = MessageSizeTooLargeError()
    with pytest.raises(RecordRefused, match=r"topic out cannot be written \(MessageSizeTooLargeError"):
        bench.send()
    assert (bench.rules.refusals("out", item()), bench.producer.replaced) == ((), 0)


def test_error_that_is_no_refusal_ends_the_stream() -> None:
    bench = Bench()
    bench.isolation.isolate(1)
    bench.begin(item())
    bench.producer.error = KafkaTimeoutError("no broker")
    with pytest.raises(StreamError, match="topic out cannot be written"):
        bench.send()


def test_late_acknowledgement_is_waited_for_by_turning() -> None:
    bench, late = Bench(), Late()
    bench.isolation.isolate(1)
    bench.begin(item())
    bench.producer.next_ack = late
    assert bench.send()
    assert bench.isolation.waits()
    late.success(None)
    assert not bench.isolation.waits()


def test_late_refusal_is_told_to_the_rules() -> None:
    bench, late, error = Bench(), Late(), InvalidRecordError("schema")
    bench.isolation.isolate(1)
    bench.begin(item(4))
    bench.producer.next_ack = late
    assert bench.send(offset=4)
    late.failure(error)
    bench.isolation.isolate(1)
    assert bench.rules.refusals("out", item(4)) == [error]
    assert not bench.isolation.waits()


def test_what_the_broker_has_is_not_sent_again() -> None:
    bench = Bench()
    bench.begin(item())
    assert bench.send(offset=0)
    bench.produced.expect("out", [item(1)], [failed(MessageSizeTooLargeError())], 10)  # type: ignore[list-item]
    bench.isolation.send_again([bench.produced])
    assert bench.producer.replaced == 1
    assert bench.begin(item(0), item(1))
    assert bench.send(offset=0)
    assert bench.send(offset=1)
    assert bench.producer.sent == ["out", "out"]
    bench.isolation.end(whole=True)
    bench.begin(item())
    assert bench.send(offset=0)
    assert bench.producer.sent == ["out", "out", "out"]  # remembered for that batch alone
