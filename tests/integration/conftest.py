"""The Kafka broker that integration tests share."""

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn

import pytest

from tests.kafka import Broker, KafkaBroker

MakeTopic = Callable[..., str]


class ExternalBroker(Broker):
    """A broker that somebody else runs: it can be used, but not ended."""

    def stop(self) -> NoReturn:
        pytest.skip("this test stops the broker, and LABELSTREAM_TEST_BOOTSTRAP names one that is not ours")

    start = kill = restart = stop


@pytest.fixture(scope="session")
def kafka() -> Iterator[Broker]:
    """A running broker; LABELSTREAM_TEST_BOOTSTRAP names one to use instead of starting it.

    Without Java or the jars this fails and says what to install: a guarantee that was not tested must not look tested.
    """
    if bootstrap := os.environ.get("LABELSTREAM_TEST_BOOTSTRAP"):
        yield ExternalBroker(bootstrap)
        return
    with KafkaBroker() as broker:
        yield broker


@pytest.fixture
def make_topic(kafka: Broker) -> MakeTopic:
    """make_topic(partitions=1, config=None) creates a topic with a name of its own and returns the name."""

    def make(partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        name = f"test-{uuid.uuid4().hex[:12]}"
        kafka.create_topic(name, partitions, config)
        return name

    return make


@pytest.fixture
def topic(make_topic: MakeTopic) -> str:
    """The name of a new topic with one partition."""
    return make_topic()
