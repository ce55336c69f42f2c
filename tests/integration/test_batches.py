"""Record batches that no usual client writes, on a real broker: accepted records come out and stop no partition."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labelstream.workers.stream.broker.bounded_reader import make_reader, partitions_of, read_up_to
from labelstream.workers.stream.broker.connection import client_config
from tests.integration.conftest import MakeTopic, StartWorker
from tests.kafka import Broker, KafkaBroker
from tests.support import raw_batches as raw
from tests.support.streams import (
    DELIVERIES,
    Topics,
    batches,
    committed,
    read_letters,
    read_results,
    settings_for,
    wait_until,
)

MIB = 1 << 20
GOOD = b'{"text": "a good neighbour"}'
NAME = b"stra\xdfe"


def topics_of(broker: Broker, make_topic: MakeTopic, source: str | None = None) -> Topics:
    return Topics(source or make_topic(), make_topic(), make_topic())


def header_bytes(broker: Broker, topics: Topics, topic: str) -> dict[int, list[tuple[bytes, bytes | None]]]:
    """The headers of the source records of all records in a topic, by source offset."""
    kafka = settings_for(broker.bootstrap, topics).required_kafka
    consumer = make_reader(client_config(kafka))
    try:
        partitions = partitions_of(consumer, topic)
        ends = consumer.end_offsets(partitions)
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        found = {}
        for record in read_up_to(kafka, consumer, ends):
            told = dict(record.headers).get("__connect.errors.offset")
            offset = int(told) if told else json.loads(record.value)["source"]["offset"]
            found[offset] = [
                (name.encode(), value)
                for name, value in record.headers
                if not name.startswith(("labelstream.", "__connect."))
            ]
        return found
    finally:
        consumer.close(autocommit=False, timeout_ms=2_000)


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_header_name_not_utf8_keeps_its_bytes(
    kafka: Broker, make_topic: MakeTopic, start_worker: StartWorker, delivery: str
) -> None:
    """Such a name in a batch of 100 good records and on a dead letter keeps its bytes."""
    topics = topics_of(kafka, make_topic)
    odd = {50: [(NAME, b"1"), (b"\xff\xfe", None)], 70: [(NAME, b"2")]}
    values = [b"no JSON" if number == 70 else GOOD for number in range(102)]
    records = [raw.record(number, value, headers=odd.get(number, ())) for number, value in enumerate(values)]
    assert raw.send(kafka.bootstrap, topics.input, raw.batch(records, codec=4)) == 0
    worker = start_worker(topics, delivery=delivery)

    results = read_results(kafka.bootstrap, topics.output, 101)
    assert [result["source"]["offset"] for result in results] == [n for n in range(102) if n != 70]
    wait_until(lambda: committed(kafka.bootstrap, "labelstream-p", topics.input) == {0: 102}, 20, "the commit")
    assert worker.stats()["alarms"] == []
    kept = header_bytes(kafka, topics, topics.output)
    assert kept[50] == [(NAME, b"1"), (b"\xff\xfe", b"")]  # kafka-python sends no header without a value
    assert sum(map(bool, kept.values())) == 1
    assert header_bytes(kafka, topics, topics.dead_letter) == {70: [(NAME, b"2")]}


def test_accepted_odd_batch_comes_out(kafka: Broker, make_topic: MakeTopic, start_worker: StartWorker) -> None:
    """One batch for each case; batches that the broker refuses are not expected back."""
    topics = topics_of(kafka, make_topic, make_topic(config={"retention.ms": "-1"}))
    odd = {
        "unknown attributes of a record": raw.batch([raw.record(0, GOOD, attributes=0xFF)]),
        "a negative delta": raw.batch([raw.record(0, GOOD, delta_ms=-5_000)], timestamp=1_700_000_000_000),
        "a negative time": raw.batch([raw.record(0, GOOD)], timestamp=-7),
        "the first of all times": raw.batch([raw.record(0, GOOD)], timestamp=-(1 << 63)),
        "a header without a value": raw.batch([raw.record(0, GOOD, headers=[(b"h", None)])]),
        "an empty name": raw.batch([raw.record(0, GOOD, headers=[(b"", b"")])]),
        "an empty key": raw.batch([raw.record(0, GOOD, b"")]),
        "neither key nor value": raw.batch([raw.record(0, None)]),
        "an empty value": raw.batch([raw.record(0, b"")]),
        "unknown attributes of a batch": raw.batch([raw.record(0, GOOD)], attributes=0x7F80),
        "offsets that run backwards": raw.batch([raw.record(1, GOOD), raw.record(0, GOOD)]),
    }
    codes = {what: raw.send(kafka.bootstrap, topics.input, data) for what, data in odd.items()}
    taken = {what for what, code in codes.items() if code == 0}
    print("refused:", {what: code for what, code in codes.items() if code})
    assert len(taken) >= 8
    assert raw.send(kafka.bootstrap, topics.input, raw.batch([raw.record(0, GOOD)])) == 0
    ends = len(taken) + ("offsets that run backwards" in taken) + 1
    without = {"neither key nor value", "an empty value"}

    start_worker(topics)
    results = read_results(kafka.bootstrap, topics.output, ends - len(without))
    assert len(results) == ends - len(without)
    assert len({result["source"]["offset"] for result in results}) == len(results)
    wait_until(lambda: committed(kafka.bootstrap, "labelstream-p", topics.input) == {0: ends}, 20, "the commit")
    ((headers, _),) = read_letters(kafka.bootstrap, topics.dead_letter, 1)
    assert headers["labelstream.reason"] == "invalid_json"


def memory(field: str) -> int:
    """Memory of this process in bytes: VmRSS, or VmHWM, the maximum since `clear_refs`."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if line.startswith(field)).split()[1])


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_decompression_bomb_is_dead_lettered_within_memory(
    kafka: Broker, make_topic: MakeTopic, start_worker: StartWorker, delivery: str
) -> None:
    topics, limit = topics_of(kafka, make_topic), 64 * MIB
    data = raw.bomb(200, GOOD)
    assert len(data) < 10_000
    plain = raw.batch([raw.record(0, GOOD), raw.record(1, GOOD)])
    assert [raw.send(kafka.bootstrap, topics.input, sent) for sent in (plain, data, plain)] == [0, 0, 0]
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    worker = start_worker(topics, delivery=delivery)

    results = read_results(kafka.bootstrap, topics.output, 5)
    assert [result["source"]["offset"] for result in results] == [0, 1, 2, 5, 6]
    letters = read_letters(kafka.bootstrap, topics.dead_letter, 2)
    assert [headers["__connect.errors.offset"] for headers, _ in letters] == ["3", "4"]
    for headers, letter in letters:
        assert (headers["labelstream.reason"], headers["labelstream.value_omitted"]) == ("too_large", "unread")
        assert (headers["__connect.errors.topic"], headers["__connect.errors.partition"]) == (topics.input, "0")
        assert headers["__connect.errors.exception.message"].endswith(f"limits.max_batch_bytes ({limit})")
        assert (letter.key(), letter.value()) == (None, b"")
    wait_until(lambda: committed(kafka.bootstrap, "labelstream-p", topics.input) == {0: 7}, 20, "the commit")
    grown = memory("VmHWM") - before
    print(f"{delivery}: {len(data)} bytes for 200 MiB; memory grew by at most {grown / MIB:.0f} MiB")
    assert grown < 3 * limit

    assert worker.stop(10)
    start_worker(topics, delivery=delivery)
    raw.send(kafka.bootstrap, topics.input, plain)
    assert [result["source"]["offset"] for result in read_results(kafka.bootstrap, topics.output, 7)] == [
        0,
        1,
        2,
        5,
        6,
        7,
        8,
    ]


LIE = raw.framed(b"\0" + raw.varint(0) + raw.varint(1) + raw.sized(None) + raw.varint(4_000) + GOOD + raw.varint(0))
# Batches that today's brokers refuse, written into the broker's log: each has the offsets 2 to 4.
WRITTEN: dict[str, tuple[bytes, dict[int, str]]] = {
    "lengths that lie": (raw.batch([raw.record(0, GOOD), LIE, raw.record(2, GOOD)], 2), {3: "invalid_record"}),
    "a batch that ends early": (
        raw.batch([raw.record(0, GOOD)], 2, count=3, codec=3),
        {3: "invalid_record", 4: "invalid_record"},
    ),
    "no zstd": (raw.batch([], 2, count=3, codec=4, packed=b"words" * 20), dict.fromkeys((2, 3, 4), "invalid_record")),
    "format v0": (b"".join(raw.message(offset, GOOD, magic=0) for offset in (2, 3, 4)), {}),
    "format v1, compressed": (raw.message_set([raw.message(n, GOOD, b"k") for n in range(3)], 4, codec=1), {}),
    "format v1, no gzip": (raw.message(4, b"words", attributes=1), dict.fromkeys((2, 3, 4), "invalid_record")),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[KafkaBroker, dict[str, str]]]:
    """A broker, and one topic for each row of `WRITTEN`: two good records before the batch, two after it."""
    data = tmp_path_factory.mktemp("kafka")
    pair = [raw.record(0, GOOD), raw.record(1, GOOD)]
    three = [*pair, raw.record(2, GOOD)]
    names = {what: f"written-{number}" for number, what in enumerate(WRITTEN)}
    with KafkaBroker(data=data) as broker:
        for name in names.values():
            broker.create_topic(name)
            for records in (pair, three, pair):
                assert raw.send(broker.bootstrap, name, raw.batch(records)) == 0
        broker.stop()
        for what, name in names.items():
            path = data / "data" / f"{name}-0" / f"{0:020d}.log"
            log = path.read_bytes()
            (_, _, _), (start, first, last), (end, _, _) = batches(log)
            assert (first, last) == (2, 4)
            path.write_bytes(log[:start] + WRITTEN[what][0] + log[end:])
        broker.start()
        yield broker, names


@pytest.mark.parametrize("what", WRITTEN)
def test_odd_batch_in_log_costs_no_neighbor(
    written: tuple[KafkaBroker, dict[str, str]], start_worker: StartWorker, what: str
) -> None:
    broker, expected = written[0], WRITTEN[what][1]
    name = written[1][what]
    topics = Topics(name, f"{name}-out", f"{name}-dlq")
    for topic in (topics.output, topics.dead_letter):
        broker.create_topic(topic)
    worker = start_worker(topics, bootstrap=broker.bootstrap, group_id=name)
    wait_until(lambda: committed(broker.bootstrap, name, name) == {0: 7}, 30, "the commit")
    results: list[Any] = read_results(broker.bootstrap, topics.output, 7 - len(expected))
    assert [result["source"]["offset"] for result in results] == [n for n in range(7) if n not in expected]
    letters = read_letters(broker.bootstrap, topics.dead_letter, len(expected), timeout_s=20)
    assert {int(h["__connect.errors.offset"]): h["labelstream.reason"] for h, _ in letters} == expected
    assert len(letters) == len(expected)
    assert worker.stats()["alarms"] == []
