"""One broker for all tests of the cluster."""

from collections.abc import Iterator

import pytest

from tests.kafka import Broker, KafkaBroker


@pytest.fixture(scope="session")
def kafka() -> Iterator[Broker]:
    with KafkaBroker() as broker:
        yield broker
