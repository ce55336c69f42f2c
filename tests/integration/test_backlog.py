"""The backlog as the brokers report it, and the lag that a worker adds."""

import json
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from kafka.structs import TopicPartition as KafkaPartition

from labelstream.deploy.control.autoscaler import _backlog
from labelstream.workers.errors import StreamError
from labelstream.workers.settings.application import Settings
from labelstream.workers.stream.broker.backlog import BacklogProbe, Standing
from tests.integration.conftest import MakeTopic, StartWorker
from tests.kafka import Broker
from tests.kafka.broker import free_port
from tests.support.fakes import FakeClassifier
from tests.support.streams import Topics, produce, read_results, settings_for, wait_until

VALUE = json.dumps({"text": "some text"}).encode()


@pytest.fixture
def topics(make_topic: MakeTopic) -> Topics:
    return Topics(make_topic(3), make_topic(), make_topic())


@pytest.fixture
def settings(kafka: Broker, topics: Topics) -> Settings:
    return settings_for(kafka.bootstrap, topics, group_id=f"group-{topics.input}")


@pytest.fixture
def probe(settings: Settings) -> Iterator[BacklogProbe]:
    with closing(BacklogProbe(settings)) as made:
        wait_until(lambda: answers(made), 30, "a coordinator, which a new broker has to make first")
        yield made


def answers(probe: BacklogProbe) -> bool:
    with suppress(StreamError):
        return bool(probe.read())
    return False


def standings(topics: Topics, *found: Standing) -> dict[str, dict[str, Standing]]:
    return {"p": {f"{topics.input}:{number}": one for number, one in enumerate(found)}}


def test_backlog_reads_ends_and_commits_of_all_partitions(kafka: Broker, topics: Topics, probe: BacklogProbe) -> None:
    assert probe.read() == standings(topics, *[Standing(0, 0)] * 3)
    for partition, count in ((0, 5), (2, 7)):
        produce(kafka.bootstrap, topics.input, [(None, VALUE)] * count, partition=partition)
    with closing(Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": f"group-{topics.input}"})) as consumer:
        consumer.commit(offsets=[TopicPartition(topics.input, 2, 4)], asynchronous=False)
    assert probe.read() == standings(topics, Standing(5, 5), Standing(0, 0), Standing(7, 3))
    with kafka.admin() as admin:
        admin.delete_records({KafkaPartition(topics.input, 0): 2, KafkaPartition(topics.input, 2): 6})
    assert probe.read() == standings(topics, Standing(5, 3), Standing(0, 0), Standing(7, 1))


def test_backlog_applies_latest_to_new_group_only(kafka: Broker, topics: Topics) -> None:
    settings = settings_for(kafka.bootstrap, topics, group_id=f"group-{topics.input}", start_from="latest")
    produce(kafka.bootstrap, topics.input, [(None, VALUE)] * 5, partition=0)
    with closing(BacklogProbe(settings)) as probe:
        wait_until(lambda: answers(probe), 30, "a coordinator, which a new broker has to make first")
        assert probe.read() == standings(topics, Standing(5, 0), Standing(0, 0), Standing(0, 0))
        with closing(Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": f"group-{topics.input}"})) as consumer:
            consumer.commit(offsets=[TopicPartition(topics.input, 2, 0)], asynchronous=False)
        assert probe.read() == standings(topics, Standing(5, 5), Standing(0, 0), Standing(0, 0))


def test_backlog_finds_new_partitions(
    kafka: Broker, topics: Topics, probe: BacklogProbe, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(probe.read()["p"]) == 3
    kafka.add_partitions(topics.input, 5)
    monkeypatch.setattr(probe, "_list_s", 0)
    wait_until(lambda: len(probe.read()["p"]) == 5, 20)


def test_backlog_excludes_open_transaction(kafka: Broker, topics: Topics, probe: BacklogProbe) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": f"t-{topics.input}"})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(topics.input, VALUE, partition=0)
    producer.flush(20)
    assert probe.read()["p"][f"{topics.input}:0"].end == 0
    producer.commit_transaction(20)
    wait_until(
        lambda: probe.read()["p"][f"{topics.input}:0"].end == 2, 20
    )  # the message and its transaction's control record


def test_backlog_without_broker_is_an_error(settings: Settings) -> None:
    nowhere = settings.required_kafka.model_copy(update={"bootstrap_servers": f"127.0.0.1:{free_port()}"})
    with closing(BacklogProbe(settings.model_copy(update={"kafka": nowhere}))) as probe:
        for _ in range(2):
            with pytest.raises(StreamError, match="no broker answers at"):
                probe.read()


def test_worker_lag_ignores_control_records(
    kafka: Broker, topics: Topics, probe: BacklogProbe, start_worker: StartWorker
) -> None:
    """Control records of transactional producers have offsets too, and must not count as lag."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": f"t-{topics.input}"})
    producer.init_transactions(20)
    for _ in range(2):
        producer.begin_transaction()
        producer.produce(topics.input, VALUE, partition=0)
        producer.commit_transaction(20)
    worker = start_worker(topics, group_id=f"group-{topics.input}")
    read_results(kafka.bootstrap, topics.output, 2)
    wait_until(
        lambda: probe.read()["p"][f"{topics.input}:0"] == Standing(4, 1), 20
    )  # the second transaction's control record
    wait_until(lambda: _backlog(probe.read()["p"], {"w": worker.stats()})[f"{topics.input}:0"].lag == 0, 20)


def test_paused_worker_reports_lag(
    kafka: Broker, topics: Topics, probe: BacklogProbe, start_worker: StartWorker
) -> None:
    classifier = FakeClassifier()
    classifier.gate.clear()
    worker = start_worker(topics, classifier, group_id=f"group-{topics.input}", max_poll_records=5, max_in_flight=1)
    produce(kafka.bootstrap, topics.input, [(None, VALUE)] * 20, partition=1)
    wait_until(lambda: worker.stats()["in_flight"] > 0, 30)
    produce(kafka.bootstrap, topics.input, [(None, VALUE)] * 500, partition=1)
    wait_until(lambda: _backlog(probe.read()["p"], {"w": worker.stats()})[f"{topics.input}:1"].lag == 520, 20)
    classifier.gate.set()
    wait_until(lambda: _backlog(probe.read()["p"], {"w": worker.stats()})[f"{topics.input}:1"].lag == 0, 30)
