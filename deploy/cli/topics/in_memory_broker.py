"""`labelstream broker`: an in-memory broker that speaks Kafka's protocol, for trials on one machine."""

import threading
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.common.console import say, stops_on_signals
from labelstream.workers.errors import StartError


class InMemoryBroker:
    """librdkafka's mock broker in this process, until `close`. Keeps about 4 MB a partition.

    Unlike Kafka, the broker creates topics on first use, and fakes transactions, retention and permissions.
    """

    def __init__(self, brokers: int = 1) -> None:
        from confluent_kafka import KafkaException, Producer

        try:
            self._owner: Any = Producer(
                {
                    "test.mock.num.brokers": brokers,
                    "bootstrap.servers": "127.0.0.1:1",  # librdkafka replaces it; without one it logs a warning
                    "log_level": 0,
                }
            )
            found = self._owner.list_topics(timeout=10).brokers.values()
        except KafkaException as error:
            raise StartError(f"the in-memory broker cannot start: {error.args[0].str()}") from None
        self.bootstrap = ",".join(f"{broker.host}:{broker.port}" for broker in found)

    def close(self) -> None:
        """Stop the broker and drop all its records."""
        self._owner = None


def broker(
    brokers: Annotated[int, typer.Option(min=1, max=9, help="Number of brokers to simulate.")] = 1,
) -> None:
    """Run an in-memory broker until Ctrl-C.

    For trials only. The broker speaks Kafka's protocol on a free port of 127.0.0.1, and creates topics on first use.
    It keeps the last few MB of each partition in memory, and loses everything when it stops.
    """
    with stops_on_signals():
        running = None
        try:
            running = InMemoryBroker(brokers)
            typer.echo(running.bootstrap)
            say("In-memory broker at this address, until Ctrl-C. It keeps a few MB per partition, and loses them then.")
            say(f"Try: echo 'Works well' | labelstream produce trial --bootstrap {running.bootstrap.split(',')[0]}")
            threading.Event().wait()
        except KeyboardInterrupt:
            say("stopped")
        finally:
            if running is not None:
                running.close()
