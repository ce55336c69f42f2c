"""Fixtures of the integration tests: the Kafka broker, topics, and workers with a fake model."""

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

import pytest

from labelstream.workers.classifier import Classifier
from labelstream.workers.stream.broker.connection import connected_config
from labelstream.workers.stream.consumer.client import make_consumer
from labelstream.workers.stream.consumer.source import RecordSource
from labelstream.workers.stream.worker import PipelineWorker
from tests.kafka import Broker, KafkaBroker
from tests.support.fakes import FakeClassifier
from tests.support.streams import Topics, settings_for

MakeTopic = Callable[..., str]
StartWorker = Callable[..., PipelineWorker]
MakeSource = Callable[..., RecordSource]


class ExternalBroker(Broker):
    """A broker outside this test run: usable, but never stopped."""

    def stop(self) -> NoReturn:
        pytest.skip("this test stops the broker, but LABELSTREAM_TEST_BOOTSTRAP names an external one")

    start = kill = restart = stop


@pytest.fixture(scope="session")
def kafka() -> Iterator[Broker]:
    """A running broker, or the external one that LABELSTREAM_TEST_BOOTSTRAP names.

    Fails without Java or the jars and says what to install: a skipped guarantee would look tested.
    """
    if bootstrap := os.environ.get("LABELSTREAM_TEST_BOOTSTRAP"):
        yield ExternalBroker(bootstrap)
        return
    with KafkaBroker() as broker:
        yield broker


@pytest.fixture
def make_topic(kafka: Broker) -> MakeTopic:
    """make_topic(partitions=1, config=None) creates a topic with a unique name and returns the name."""

    def make(partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        name = f"test-{uuid.uuid4().hex[:12]}"
        kafka.create_topic(name, partitions, config)
        return name

    return make


@pytest.fixture
def topic(make_topic: MakeTopic) -> str:
    """The name of a new topic with one partition."""
    return make_topic()


@pytest.fixture
def start_worker(request: pytest.FixtureRequest) -> Iterator[StartWorker]:
    """Run a worker with a fake model until the end of the test.

    start_worker(topics, classifier=None, worker_id="w", bootstrap=the shared broker, kafka={}, **pipeline settings)
    """
    running: list[tuple[PipelineWorker, Classifier]] = []

    def run(
        topics: Topics,
        classifier: Classifier | None = None,
        worker_id: str = "w",
        bootstrap: str | None = None,
        kafka: Any = None,
        **pipeline: Any,
    ) -> PipelineWorker:
        address: str = bootstrap or request.getfixturevalue("kafka").bootstrap
        classifier = classifier or FakeClassifier()
        worker = PipelineWorker("p", settings_for(address, topics, kafka, **pipeline), {"m": classifier}, worker_id)
        running.append((worker, classifier))
        worker.start()
        return worker

    yield run
    for _, classifier in running:
        if isinstance(classifier, FakeClassifier):
            classifier.gate.set()
    for worker, classifier in running:
        worker.stop(5)
        classifier.close()


@pytest.fixture
def make_source(kafka: Broker) -> Iterator[MakeSource]:
    """make_source(topic, **pipeline settings): a member of group `topic` that finds new partitions within a second."""
    made: list[RecordSource] = []

    def make(topic: str, **pipeline: Any) -> RecordSource:
        settings = settings_for(kafka.bootstrap, Topics(topic, "out", "dead-letters"), **pipeline)
        config = connected_config(settings.required_kafka) | {"metadata_max_age_ms": 500}
        consumer = make_consumer(config, settings.required_kafka, settings.pipelines["p"], topic)
        made.append(RecordSource(consumer, settings.pipelines["p"]))
        return made[-1]

    yield make
    for source in made:
        source.close(1_000)
