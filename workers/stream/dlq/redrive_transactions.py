"""Redrive transactions: each redriven record and its ledger entry are committed together.

The order is the guarantee. Each dead-letter topic has one transactional id. Initializing the id ends an earlier
redrive's open transaction and fences a running redrive. Then the ledger is read, and only missing records are sent.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from kafka import KafkaProducer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError, KafkaTimeoutError, TransactionalIdAuthorizationFailedError
from kafka.serializer import Serializer

from labelstream.workers.errors import StartError, StreamError
from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.stream.broker.connection import translate_kafka_errors
from labelstream.workers.stream.codec.encoding.producer_record import ProducerRecord
from labelstream.workers.stream.dlq.ledger import RedriveLedger, ledger_key, ledger_topic, ledger_value, read_ledger
from labelstream.workers.stream.producer.kafka_producer.client import make_transactional_producer
from labelstream.workers.stream.producer.kafka_producer.workarounds import call_with_timeout, end, identity
from labelstream.workers.stream.producer.send_errors import FENCED

ABORT_TIMEOUT_S = 10.0


class Redriven(NamedTuple):
    """A dead letter, with the record to send to the topic `to`."""

    letter: ConsumerRecord
    to: str
    record: ProducerRecord


class Redriver:
    """Sends each chunk in one transaction of at most `timeout_s`. Made by `redriving`."""

    def __init__(self, producer: KafkaProducer, ledger: str, timeout_s: float) -> None:
        self._producer, self._ledger, self._timeout_s = producer, ledger, timeout_s
        self._identity = identity(producer)

    def send(self, chunk: Sequence[Redriven]) -> None:
        """Send and commit the whole chunk or nothing. After a StreamError, the redriver is unusable."""
        try:
            self._send(chunk)
        except BaseException as error:
            with suppress(Exception):  # without an abort, readers wait for the broker's timeout
                call_with_timeout(self._producer.abort_transaction, ABORT_TIMEOUT_S)
            if isinstance(error, KafkaError | ValueError):
                raise StreamError(f"{_text(error)}; no record of the last chunk was redriven; run it again") from error
            raise
        try:
            call_with_timeout(self._producer.commit_transaction, self._timeout_s)
            self._check_identity()
        except Exception as error:
            raise StreamError(
                f"the commit was not confirmed ({_text(error)}): the last chunk was redriven as a whole or not at "
                "all; run it again: dead letters in the ledger are not sent twice"
            ) from error

    def _send(self, chunk: Sequence[Redriven]) -> None:
        producer, acks = self._producer, []
        producer.begin_transaction()
        for letter, to, record in chunk:
            value = _NO_VALUE if record.value is None else record.value
            acks.append(producer.send(to, value, record.key, record.headers, record.partition))
            acks.append(producer.send(self._ledger, ledger_value(letter, to), ledger_key(letter)))
        deadline = time.monotonic() + self._timeout_s
        for ack in acks:  # an expired batch does not fail the transaction, and flush() only logs the error
            ack.get(max(0.0, deadline - time.monotonic()))
        self._check_identity()

    def _check_identity(self) -> None:
        """A changed epoch means that the transaction was aborted, even if the producer reports success."""
        if identity(self._producer) != self._identity:
            raise KafkaError("the producer was reinitialized during the transaction")


@contextmanager
def redriving(
    config: dict[str, Any], kafka: KafkaSettings, dead_letter: str, max_record_bytes: int
) -> Iterator[tuple[Redriver, RedriveLedger]]:
    """The only redriver of a dead-letter topic, and the ledger before its start. Raises StartError."""
    transactional_id, ledger = f"labelstream-redrive-{dead_letter}", ledger_topic(dead_letter)
    with translate_kafka_errors(kafka):
        producer = make_transactional_producer(config, kafka, [max_record_bytes], transactional_id, _Values())
    close_s = 0.0
    try:
        with translate_kafka_errors(kafka):
            try:
                producer.init_transactions()
            except TransactionalIdAuthorizationFailedError:
                raise StartError(
                    f"no permission to use the transactional id {transactional_id}; grant WRITE on it"
                ) from None
            except KafkaTimeoutError:
                raise StartError(
                    f"no broker initialized the transactional id {transactional_id} in "
                    f"{kafka.transaction_timeout_ms / 1000:.0f} s; look at the brokers' logs"
                ) from None
        yield Redriver(producer, ledger, kafka.transaction_timeout_ms / 1000), read_ledger(config, kafka, ledger)
        close_s = 5.0
    finally:
        end(producer, close_s)


class _Values(Serializer):
    """Serializes `_NO_VALUE` as None: kafka-python refuses a record without key and value before serialization."""

    def serialize(self, topic: str, headers: Any, data: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return None if data is _NO_VALUE else data


_NO_VALUE: Any = object()


def _text(error: Exception) -> str:
    if isinstance(error, FENCED):
        return "another redrive of the same dead letters took over, or the transaction timed out"
    return str(error) or type(error).__name__
