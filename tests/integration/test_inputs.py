"""Several input topics on a real broker: lists, patterns, topics and partitions that come and go."""

import json
import multiprocessing
import os
import signal
import time
import uuid
from collections import Counter
from typing import Any

import pytest

from tests.integration.conftest import MakeTopic, StartWorker
from tests.integration.crashing_worker import live
from tests.kafka import Broker
from tests.support.streams import (
    DELIVERIES,
    Topics,
    committed,
    messages,
    produce,
    read_all,
    read_ids,
    read_until_complete,
    settings_for,
    wait_until,
)

NURSERY = multiprocessing.get_context("forkserver")  # imports modules once for all processes
NURSERY.set_forkserver_preload(["tests.integration.crashing_worker"])
BOTH = pytest.mark.parametrize("delivery", DELIVERIES)


class Inputs:
    """Input topics with a common beginning, and the output topics of one pipeline. `group`: the pipeline's."""

    def __init__(self, kafka: Broker, make_topic: MakeTopic) -> None:
        self._kafka, self.group = kafka, f"inputs-{uuid.uuid4().hex[:8]}"
        self.outputs = Topics("unused", make_topic(4), make_topic())
        self.settings: dict[str, Any] = {"group_id": self.group, "discovery_interval_s": 1}

    @property
    def pattern(self) -> dict[str, str]:
        return {"pattern": rf"{self.group}\..*"}

    def create(self, name: str, partitions: int = 2) -> str:
        topic = f"{self.group}.{name}"
        self._kafka.create_topic(topic, partitions)
        return topic

    def delete(self, topic: str) -> None:
        with self._kafka.admin() as admin:
            admin.delete_topics([topic])


@pytest.fixture
def inputs(kafka: Broker, make_topic: MakeTopic) -> Inputs:
    return Inputs(kafka, make_topic)


@pytest.mark.parametrize("form", ["list", "pattern"])
def test_worker_reads_list_and_pattern(kafka: Broker, inputs: Inputs, start_worker: StartWorker, form: str) -> None:
    names = [inputs.create("a"), inputs.create("b", 3)]
    for number, topic in enumerate(names):
        produce(kafka.bootstrap, topic, messages(300, 1_000 * number))
    chosen = names if form == "list" else inputs.pattern
    worker = start_worker(inputs.outputs, input=chosen, **inputs.settings)
    results = read_until_complete(kafka.bootstrap, inputs.outputs.output, 600)
    assert Counter(result["source"]["topic"] for result in results) == dict.fromkeys(names, 300)
    wait_until(lambda: worker.stats()["lag"] == 0)
    assert set(worker.stats()["partitions"]) == {f"{names[0]}:{n}" for n in (0, 1)} | {
        f"{names[1]}:{n}" for n in (0, 1, 2)
    }
    counts = worker.stats()["by_partition"]
    assert sum(count["results"] for place, count in counts.items() if place.startswith(names[1])) == 300
    assert worker.stop(10)
    assert sum(committed(kafka.bootstrap, inputs.group, names[1]).values()) == 300


def test_new_topics_and_partitions_start_at_beginning(kafka: Broker, inputs: Inputs, start_worker: StartWorker) -> None:
    worker = start_worker(inputs.outputs, input=inputs.pattern, start_from="latest", **inputs.settings)
    wait_until(lambda: "no topic matches" in "".join(worker.stats()["alarms"]), 20, "the alarm")
    for first, name in ((0, "a"), (100, "b")):
        topic = inputs.create(name)
        produce(kafka.bootstrap, topic, messages(100, first))
        assert len(set(read_ids(kafka.bootstrap, inputs.outputs.output, first + 100))) == first + 100
    kafka.add_partitions(topic, 4)
    produce(kafka.bootstrap, topic, messages(10, 200), partition=3)
    assert set(read_ids(kafka.bootstrap, inputs.outputs.output, 210)) == set(range(210))
    wait_until(lambda: worker.stats()["alarms"] == [], 20, "the alarm's end")


@pytest.mark.long
@pytest.mark.parametrize("start_from", ["earliest", "latest"])
def test_topics_made_while_stopped_start_at_beginning(
    kafka: Broker, inputs: Inputs, start_worker: StartWorker, start_from: str
) -> None:
    topic, config = inputs.create("a"), {"input": inputs.pattern, "start_from": start_from, **inputs.settings}
    produce(kafka.bootstrap, topic, messages(50))
    worker = start_worker(inputs.outputs, **config)
    wait_until(lambda: worker.stats()["state"] == "running")
    wait_until(lambda: all(offset >= 0 for offset in committed(kafka.bootstrap, inputs.group, topic).values()))
    produce(kafka.bootstrap, topic, messages(50, 50))
    expected = set(range(50 if start_from == "latest" else 0, 100))
    assert set(read_ids(kafka.bootstrap, inputs.outputs.output, len(expected))) == expected
    assert worker.stop(10)
    produce(kafka.bootstrap, inputs.create("b"), messages(100, 100))
    start_worker(inputs.outputs, **config)
    expected |= set(range(100, 200))
    assert set(read_ids(kafka.bootstrap, inputs.outputs.output, len(expected))) == expected


@pytest.mark.long
@BOTH
@pytest.mark.timeout(240)
def test_deleted_topic_is_let_go_and_read_again_when_back(
    kafka: Broker, inputs: Inputs, start_worker: StartWorker, delivery: str
) -> None:
    names = [inputs.create("a"), inputs.create("b")]
    worker = start_worker(inputs.outputs, input=names, delivery=delivery, max_poll_records=50, **inputs.settings)
    for number, topic in enumerate(names):
        produce(kafka.bootstrap, topic, messages(2_000, 10_000 * number))
    wait_until(lambda: worker.stats()["results_out"] > 100)
    inputs.delete(names[1])
    deleted_at = time.monotonic()
    wait_until(lambda: f"input topic {names[1]} does not exist" in "".join(worker.stats()["alarms"]), 40, "the alarm")
    produce(kafka.bootstrap, names[0], messages(500, 2_000))
    kept = set(range(2_500))
    results = read_all(kafka.bootstrap, inputs.outputs.output, lambda found: ids_of(found).keys() >= kept, timeout_s=60)
    assert ids_of(results).keys() >= kept
    assert time.monotonic() - deleted_at < 60
    assert worker.stats()["restarts"] == 0
    assert set(worker.stats()["partitions"]) == {f"{names[0]}:0", f"{names[0]}:1"}
    wait_until(lambda: sum(committed(kafka.bootstrap, inputs.group, names[0]).values()) >= 2_500, 20)
    inputs.create("b")
    produce(kafka.bootstrap, names[1], messages(100, 20_000))
    back = kept | set(range(20_000, 20_100))
    found = ids_of(
        read_all(kafka.bootstrap, inputs.outputs.output, lambda found: ids_of(found).keys() >= back, timeout_s=60)
    )
    assert found.keys() >= back
    if delivery == "exactly_once":
        assert max(found[one] for one in back) == 1
    assert worker.stats()["alarms"] == []


@pytest.mark.long
@pytest.mark.timeout(240)
def test_exactly_once_over_two_topics_with_killed_worker(
    kafka: Broker, inputs: Inputs, start_worker: StartWorker
) -> None:
    names, count = [inputs.create("a", 4), inputs.create("b", 4)], 3_000
    for number, topic in enumerate(names):
        produce(kafka.bootstrap, topic, messages(count, count * number))
    config = {
        "input": inputs.pattern,
        "delivery": "exactly_once",
        "transaction_interval_ms": 100,
        "max_poll_records": 50,
        **inputs.settings,
    }
    settings = settings_for(kafka.bootstrap, inputs.outputs, {"transaction_timeout_ms": 5_000}, **config)
    ours, told = NURSERY.Pipe(duplex=False)
    process = NURSERY.Process(target=live, args=(settings.model_dump(mode="json", by_alias=True), 0.1, told))
    process.start()
    assert ours.recv() == "running"
    wait_until(lambda: len(read_all(kafka.bootstrap, inputs.outputs.output, any, 5)) > 0, 60, "the first result")
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    worker = start_worker(inputs.outputs, kafka={"transaction_timeout_ms": 5_000}, **config)
    found = ids_of(read_all(kafka.bootstrap, inputs.outputs.output, lambda seen: len(ids_of(seen)) >= 2 * count, 120))
    assert found == Counter(range(2 * count))
    assert worker.stop(20)


def ids_of(found: list[Any]) -> Counter[int]:
    return Counter(json.loads(message.value())["id"] for message in found)
