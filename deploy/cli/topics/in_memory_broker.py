"""`labelstream broker`: Kafka's protocol without Kafka, for trying things out on one machine."""

import threading
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.common.console import say, stops_on_signals
from labelstream.workers.errors import StartError


class InMemoryBroker:
    """librdkafka's broker in this process; it ends with `close` or with the process. Keeps about 4 MB a partition.

    It is no Kafka: topics appear on first use, and transactions, retention and permissions are not real.
    """

    def __init__(self, brokers: int = 1) -> None:
        from confluent_kafka import KafkaException, Producer

        try:
            self._owner: Any = Producer(
                {
                    "test.mock.num.brokers": brokers,
                    "bootstrap.servers": "127.0.0.1:1",  # replaced by the broker's own; without it a warning is logged
                    "log_level": 0,
                }
            )
            found = self._owner.list_topics(timeout=10).brokers.values()
        except KafkaException as error:
            raise StartError(f"the in-memory broker does not start: {error.args[0].str()}") from None
        self.bootstrap = ",".join(f"{broker.host}:{broker.port}" for broker in found)

    def close(self) -> None:
        """End the broker; everything in it is gone."""
        self._owner = None


def broker(
    brokers: Annotated[int, typer.Option(min=1, max=9, help="How many brokers to pretend.")] = 1,
) -> None:
    """Run an in-memory broker until Ctrl-C.

    It speaks Kafka's protocol on loopback, on ports of its own choice, makes topics on first use and keeps nothing:
    a few MB per partition, and all is gone when it stops. For trials; not for anything that must not be lost.
    """
    with stops_on_signals():
        running = None
        try:
            running = InMemoryBroker(brokers)
            typer.echo(running.bootstrap)
            say(
                "An in-memory broker at this address. It keeps nothing: a few MB per partition, gone when it stops "
                "(Ctrl-C)."
            )
            say(f"Try: echo 'Works well' | labelstream produce trial --bootstrap {running.bootstrap.split(',')[0]}")
            threading.Event().wait()
        except KeyboardInterrupt:
            say("stopped")
        finally:
            if running is not None:
                running.close()
