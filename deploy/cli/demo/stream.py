"""The demo's ends of the stream: one thread sends messages, another reads results and dead letters back."""

import json
import re
import time
from collections import deque
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

from labelstream.deploy.accounting import Accounting
from labelstream.deploy.cli.common.connect import Broker, poll, reader
from labelstream.deploy.cli.topics.record_view import REASON, headers_of
from labelstream.deploy.names import Topics
from labelstream.workers.errors import LabelstreamError, StartError

FEEDBACK = Path(__file__).parents[2] / "demo" / "feedback.jsonl"
# Messages in flight, at most: the in-memory broker keeps about 4 MB a partition, and silently drops older messages.
WINDOW = 500
RECENT = 50
STOP_S = 10.0
_ID = re.compile(rb'"id": *"[^"\\]*')


class Answer(NamedTuple):
    """One row of the table."""

    text: str
    label: str
    score: float


def topics_of(run_id: str) -> Topics:
    """Topics of this run alone, undisturbed by earlier runs."""
    return Topics(*(f"labelstream-demo.{run_id}.{part}" for part in ("feedback", "labels", "dead-letters")))


class Feedback:
    """The shipped messages in an endless loop. Some are broken on purpose, to become dead letters."""

    def __init__(self, path: Path = FEEDBACK) -> None:
        """`path`: one message per line. Raises StartError."""
        try:
            self._lines = [line for line in path.read_bytes().splitlines() if line.strip()]
        except OSError as error:
            raise StartError(
                f"{path}: the demo's texts cannot be read ({error.strerror}); install Labelstream again"
            ) from None
        if not self._lines:
            raise StartError(f"{path}: the file is empty; install Labelstream again")
        self._texts = dict(_id_and_text(line) for line in self._lines)

    def message(self, index: int) -> bytes:
        """Message number `index`, from 0. Later rounds add their number to the id: `fb-1001#2`."""
        turn, place = divmod(index, len(self._lines))
        line = self._lines[place]
        # Replaced in the bytes, because a message that is broken on purpose must stay broken.
        return line if turn == 0 else _ID.sub(lambda found: found[0] + b"#%d" % (turn + 1), line, count=1)

    def text(self, identifier: str) -> str:
        """The text of the message with this id."""
        return self._texts.get(identifier.partition("#")[0], "")


def _id_and_text(line: bytes) -> tuple[str, str]:
    try:
        row = json.loads(line)
        return str(row["id"]), str(row["text"])
    except (ValueError, KeyError, TypeError):
        return "", ""


class Feeder:
    """Sends `count` messages (None: endlessly) to the input topic, as fast as earlier messages come back."""

    def __init__(self, broker: Broker, topic: str, feedback: Feedback, count: int | None, ledger: Accounting) -> None:
        self._broker, self._topic, self._feedback, self._count, self._ledger = broker, topic, feedback, count, ledger
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="feeder", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop sending. On return every sent message is acknowledged or reported as failed."""
        self._stopping.set()
        self._thread.join(STOP_S)

    @property
    def done(self) -> bool:
        """No more messages will be sent."""
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._feed()
        except Exception as error:
            self._ledger.fail(error)

    def _feed(self) -> None:
        from labelstream.workers.stream.broker.connection import translate_kafka_errors
        from labelstream.workers.stream.producer.kafka_producer.client import make_producer

        with translate_kafka_errors(self._broker.settings):
            producer = make_producer(self._broker.config, self._broker.settings, [1_000_000])
            done = 0
            try:
                while not self._stopping.is_set() and (self._count is None or done < self._count):
                    left = WINDOW if self._count is None else self._count - done
                    claimed = self._ledger.claim(WINDOW, left, timeout_s=0.2)
                    for index in range(done, done + claimed):
                        future = producer.send(self._topic, self._feedback.message(index))
                        future.add_callback(lambda sent: self._ledger.sent(sent.partition, sent.offset))
                        future.add_errback(self._ledger.fail)
                    done += claimed
                producer.flush(timeout=STOP_S)
            finally:
                producer.close(timeout=2)


class ReadBack:
    """Reads results and dead letters as any other consumer would, and adds them to the ledger.

    `recent`: the latest results, newest last.
    """

    def __init__(self, broker: Broker, topics: Topics, feedback: Feedback, ledger: Accounting) -> None:
        self._broker, self._topics, self._feedback, self._ledger = broker, topics, feedback, ledger
        self.recent: deque[Answer] = deque(maxlen=RECENT)
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="read-back", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(STOP_S)

    def _run(self) -> None:
        try:
            with reader(self._broker, [self._topics.output, self._topics.dead_letter], True) as consumer:
                while not self._stopping.is_set():
                    for record in poll(self._broker, consumer, timeout_ms=100):
                        self._enter(record)
        except Exception as error:
            self._ledger.fail(error)

    def _enter(self, record: Any) -> None:
        try:
            if record.topic == self._topics.output:
                self._enter_result(json.loads(record.value))
            else:
                headers = headers_of(record)
                self._ledger.dead_letter(
                    int(headers["__connect.errors.partition"]), int(headers["__connect.errors.offset"]), headers[REASON]
                )
        except (ValueError, KeyError, TypeError) as error:
            where = f"{record.topic}:{record.partition}:{record.offset}"
            raise LabelstreamError(f"{where} is neither a result nor a dead letter ({error!r})") from None

    def _enter_result(self, result: dict[str, Any]) -> None:
        source = result["source"]
        latency_ms = time.time() * 1000 - source["timestamp_ms"]
        if self._ledger.result(source["partition"], source["offset"], latency_ms):
            text = self._feedback.text(str(result["id"]))
            if text:
                self.recent.append(Answer(text, result["label"], result["score"]))
