"""A real run with the page, and a stream of the demo's messages whose results are read back."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from labelstream.deploy.accounting import Accounting, Totals
from labelstream.deploy.cli.common.arguments import DEMO_MODEL
from labelstream.deploy.cli.common.connect import connect, kafka_settings, made_topics
from labelstream.deploy.cli.demo.stream import Feedback, Feeder, ReadBack
from labelstream.deploy.cli.topics.in_memory_broker import InMemoryBroker
from labelstream.deploy.gateway.proxy.port_check import free_port
from labelstream.deploy.names import Topics
from tests.support.running_command import RunningCommand
from tests.support.streams import wait_until

TOPICS = Topics("feedback.raw", "feedback.labels", "feedback.dlq")
START_S, STREAM_S = 240.0, 120.0


class Application:
    """The page is at `url`, on `port`."""

    def __init__(self, broker: Any, port: int) -> None:
        self._broker, self.port, self.url = broker, port, f"http://127.0.0.1:{port}"
        self._feedback, self._ledger = Feedback(), Accounting()
        self._read_back = ReadBack(broker, TOPICS, self._feedback, self._ledger)

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Send messages until the end of the context."""
        feeder = Feeder(self._broker, TOPICS.input, self._feedback, None, self._ledger)
        try:
            yield
        finally:
            feeder.stop()

    def send(self, count: int) -> Totals:
        """Send `count` messages. The summary of all messages, when every one has come back."""
        feeder = Feeder(self._broker, TOPICS.input, self._feedback, count, self._ledger)
        wait_until(lambda: feeder.done and not self._ledger.totals().missing, STREAM_S, "the return of all messages")
        self._ledger.raise_failure()
        return self._ledger.totals()

    def close(self) -> None:
        self._read_back.stop()


@contextmanager
def running(folder: Path) -> Iterator[Application]:
    """`labelstream run --page` with an in-memory broker and the demo's model."""
    port = free_port()
    broker = InMemoryBroker()
    config = folder / "labelstream.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "kafka": {"bootstrap_servers": broker.bootstrap},
                "models": {"sentiment": {"source": str(DEMO_MODEL), "max_delay_ms": 2}},
                "pipelines": {"feedback": {**TOPICS._asdict(), "model": "sentiment"}},
                "http": {"port": port, "page_texts": True, "page": True},
            }
        )
    )
    connected = connect(kafka_settings(broker.bootstrap, None))
    command = None
    try:
        with made_topics(connected, TOPICS, []):
            command = RunningCommand("run", "-c", str(config), "--page")
            command.until("everything runs", START_S)
            application = Application(connected, port)
            try:
                yield application
            finally:
                application.close()
    finally:
        if command is not None:
            with suppress(ProcessLookupError):
                os.kill(command.process.pid, signal.SIGTERM)
            command.wait()
        broker.close()
