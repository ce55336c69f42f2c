"""`tail`: from where, how much, and in which form."""

from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from labelstream.deploy.cli.topics.in_memory_broker import InMemoryBroker
from tests.unit.deploy.cli.conftest import Run

RESULT = (
    b'{"label": "GOOD", "score": 0.5, "id": 7, "tokens": 3, "truncated": false, "model": "m", '
    b'"source": {"topic": "in", "partition": 1, "offset": 2}}'
)
VALUES = [RESULT, b"no \x1b JSON", b"last"]


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[str]:
    """Of a broker with VALUES in one partition of `topic`."""
    broker = InMemoryBroker()
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    for value in VALUES:
        producer.produce("topic", value, partition=0)
    assert producer.flush(10) == 0
    yield broker.bootstrap
    broker.close()


def test_rows_have_columns_and_no_control_characters(run: Run, bootstrap: str) -> None:
    ended = run("tail", "topic", "-b", bootstrap)
    assert (ended.code, ended.err) == (0, "3 messages\n")
    result, other, _ = ended.out.splitlines()
    assert result.split("\t") == ["GOOD", "0.5000", "7", "3", "m", "in:1:2"]
    assert other.endswith("no \\x1b JSON")


def test_json_is_the_values_as_they_are(run: Run, bootstrap: str) -> None:
    ended = run("tail", "topic", "--json", "-b", bootstrap)
    assert ended.out.encode() == b"".join(value + b"\n" for value in VALUES)
    assert ended.err == ""


def test_it_stops_after_so_many(run: Run, bootstrap: str) -> None:
    assert run("tail", "topic", "-n", "1", "-b", bootstrap).err == "1 message\n"
    followed = run("tail", "topic", "--follow", "--from", "beginning", "-n", "2", "-b", bootstrap)
    assert (followed.code, followed.err) == (0, "2 messages\n")


def test_end_is_behind_everything(run: Run, bootstrap: str) -> None:
    ended = run("tail", "topic", "--from", "end", "-b", bootstrap)
    assert (ended.code, ended.out, ended.err) == (0, "", "0 messages\n")
