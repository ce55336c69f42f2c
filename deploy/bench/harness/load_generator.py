"""Sends messages and measures when each comes back. Uses librdkafka, which needs little CPU."""

import json
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jiter
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from labelstream.deploy.accounting import Accounting
from labelstream.deploy.bench.harness.texts import nth_text
from labelstream.deploy.names import Topics
from labelstream.workers.config_file import secret_of
from labelstream.workers.errors import StartError
from labelstream.workers.settings.kafka import KafkaSettings

STALL_S = 120.0
# In flight at most, on the in-memory broker: it keeps about 4 MB a partition, and silently drops older messages.
WINDOW_BYTES, WINDOW = 2_000_000, 4_096
_STEP = 256  # messages between two checks of the window


class LoadGenerator:
    """The load of one pipeline. `paced`: keep no more messages in flight than the in-memory broker can hold.

    Owns a thread. Each message has a number, which comes back as the result's `id`.
    """

    def __init__(self, kafka: KafkaSettings, topics: Topics, paced: bool) -> None:
        config = librdkafka_config(kafka)
        more = {"linger.ms": 5, "queue.buffering.max.messages": 1_000_000}
        self._bulk, self._single = Producer(config | more), Producer(config | {"linger.ms": 0})
        self._topics, self._paced = topics, paced
        self._sent_at: list[float] = []
        self._back_at: dict[int, float] = {}
        self._accounting = Accounting()
        self._closed = False
        self._result_bytes = 0
        self._consumer = _reader(config, (topics.output, topics.dead_letter), paced)
        self._thread = threading.Thread(target=self._read, name="read-back", daemon=True)
        self._thread.start()

    def stream(self, texts: Sequence[str]) -> float:
        """Send all texts and wait for all results. Returns the seconds in between. Raises StartError."""
        started, first = time.perf_counter(), len(self._sent_at)
        window = min(WINDOW, max(1, WINDOW_BYTES * len(texts) // max(1, sum(map(len, texts)))))
        for step in range(0, len(texts), _STEP):
            for text in texts[step : step + _STEP]:
                self._send(self._bulk, text)
            if self._paced:
                self._bulk.flush(STALL_S)
                self._wait(len(self._sent_at) - window)
        if self._bulk.flush(STALL_S):
            raise StartError("the broker did not accept all messages")
        self._wait(len(self._sent_at))
        return max(self._back_at[number] for number in range(first, len(self._sent_at))) - started

    def one(self, text: str) -> float:
        """Milliseconds from the message's timestamp until its result is read. Raises StartError."""
        number = self._send(self._single, text)
        self._single.flush(STALL_S)
        self._wait(len(self._sent_at))
        return (self._back_at[number] - self._sent_at[number]) * 1000

    def offered(self, texts: Sequence[str], per_s: float, seconds: float, seed: int) -> tuple[list[float], float]:
        """Send at random times, `per_s` on average, without waiting for results: an open loop with Poisson arrivals.

        Returns the milliseconds of each message as in `one`, and the results per second. Raises StartError.
        """
        rng, first, started = random.Random(seed), len(self._sent_at), time.perf_counter()  # noqa: S311
        due = started + rng.expovariate(per_s)
        while due < started + seconds:
            time.sleep(max(0.0, due - time.perf_counter()))
            self._send(self._single, nth_text(texts, len(self._sent_at) - first))
            due += rng.expovariate(per_s)
        self._single.flush(STALL_S)
        self._wait(len(self._sent_at))
        numbers = range(first, len(self._sent_at))
        latencies = [(self._back_at[number] - self._sent_at[number]) * 1000 for number in numbers]
        last = max((self._back_at[number] for number in numbers), default=started)
        return latencies, len(latencies) / max(seconds, last - started)

    @property
    def dead_letters(self) -> int:
        """The number of messages that became dead letters."""
        return self._accounting.totals().dead_letters.total()

    def result_bytes(self) -> int:
        """The mean size of a result's value."""
        return self._result_bytes // max(1, len(self._back_at))

    def close(self) -> None:
        self._closed = True
        self._thread.join()
        self._consumer.close()

    def _send(self, producer: Producer, text: str) -> int:
        number = len(self._sent_at)
        value = json.dumps({"id": number, "text": text}).encode()
        self._sent_at.append(time.perf_counter())
        self._accounting.sent(0, number)
        producer.produce(self._topics.input, value, key=str(number).encode())
        producer.poll(0)
        return number

    def _wait(self, count: int) -> None:
        """Wait until `count` messages have come back."""
        if not self._accounting.wait_for(count, STALL_S):
            raise StartError(
                f"no result for {STALL_S:g} s, {len(self._back_at)} of {count} came back; an in-memory broker may have "
                "dropped messages: measure on a Kafka broker with --bootstrap"
            )

    def _read(self) -> None:
        while not self._closed:
            first = self._consumer.poll(0.1)
            if first is None:
                continue
            now, found = time.perf_counter(), [first, *self._consumer.consume(1_000, timeout=0)]
            with self._accounting.many_at_once():
                for message in found:
                    self._enter(message, now)

    def _enter(self, message: Any, now: float) -> None:
        if message.error():
            return
        value: Any = jiter.from_json(message.value())  # a dead letter contains the sent value
        number = int(value["id"])
        self._back_at.setdefault(number, now)
        if message.topic() == self._topics.dead_letter:
            self._accounting.dead_letter(0, number, "")
        else:
            self._accounting.result(0, number, (now - self._sent_at[number]) * 1000)
        self._result_bytes += len(message.value())


@contextmanager
def traffic(kafka: KafkaSettings, topics: Topics, paced: bool) -> Iterator[LoadGenerator]:
    made = LoadGenerator(kafka, topics, paced)
    try:
        yield made
    finally:
        made.close()


def librdkafka_config(kafka: KafkaSettings) -> dict[str, Any]:
    """`KafkaSettings` as librdkafka's options. Contains secrets: never log it."""
    security = kafka.security
    found = {
        "bootstrap.servers": kafka.bootstrap_servers,
        "security.protocol": security.protocol,
        "sasl.mechanism": security.sasl_mechanism,
        "sasl.username": security.username,
        "sasl.password": secret_of(security.password, security.password_file, "kafka.security.password_file"),
        "ssl.ca.location": security.ca_file and str(security.ca_file),
        "ssl.certificate.location": security.cert_file and str(security.cert_file),
        "ssl.key.location": security.key_file and str(security.key_file),
        "ssl.key.password": secret_of(
            security.key_password, security.key_password_file, "kafka.security.key_password_file"
        ),
    }
    return {name: value for name, value in found.items() if value is not None} | {"log_level": 2}


def _reader(config: dict[str, Any], topics: Sequence[str], in_memory: bool) -> Consumer:
    """A read_committed consumer of all partitions from their beginnings, without joining a group."""
    # On the in-memory broker an empty fetch waits until its timeout, even if records arrive meanwhile.
    soon = {"fetch.wait.max.ms": 10} if in_memory else {}
    consumer = Consumer(
        config
        | soon
        | {"group.id": "labelstream-bench", "enable.auto.commit": False, "isolation.level": "read_committed"}
    )
    found = {topic: consumer.list_topics(topic, timeout=10).topics[topic].partitions for topic in topics}
    consumer.assign(
        [TopicPartition(topic, number, OFFSET_BEGINNING) for topic, numbers in found.items() for number in numbers]
    )
    return consumer
