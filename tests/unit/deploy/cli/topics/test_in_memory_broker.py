"""`labelstream broker` prints its address and ends by a signal."""

import threading

import pytest

from labelstream.deploy.cli.topics import in_memory_broker
from labelstream.deploy.cli.topics.in_memory_broker import InMemoryBroker
from tests.unit.deploy.cli.conftest import Run


def test_each_broker_has_an_address() -> None:
    broker = InMemoryBroker(3)
    addresses = broker.bootstrap.split(",")
    broker.close()
    assert len(set(addresses)) == 3
    assert all(address.startswith("127.0.0.1:") for address in addresses)


def test_command_prints_the_address_and_ends_by_a_signal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            raise KeyboardInterrupt

    monkeypatch.setattr(in_memory_broker.threading, "Event", Interrupted)
    ended = run("broker")
    assert ended.code == 0
    assert ended.out.startswith("127.0.0.1:")
    assert ended.err.endswith("stopped\n")
