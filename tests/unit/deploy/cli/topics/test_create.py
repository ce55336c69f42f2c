"""`topics create` shows its plan, asks first, and reports what the broker refuses."""

from collections.abc import Callable
from typing import Any

import pytest
import typer

from labelstream.deploy.cli.common.connect import Broker
from labelstream.deploy.cli.topics import create
from labelstream.deploy.cli.topics.in_memory_broker import InMemoryBroker
from labelstream.workers.config_file import load_settings
from tests.support.config_tree import tree
from tests.support.fake_admin import FakeAdmin
from tests.unit.deploy.cli.conftest import Run, fails

WriteConfig = Callable[..., str]
COMMAND = "kafka-topics.sh --bootstrap-server localhost:9092 --create --if-not-exists --topic"


class Admin(FakeAdmin):
    """`refused`: topic -> error code and text of topics that the broker does not create."""

    def __init__(self, topics: dict[str, Any], refused: dict[str, tuple[int, str]] | None = None, **more: Any) -> None:
        super().__init__(topics, **more)
        self.refused, self.created, self.awaited = refused or {}, {}, []

    def create_topics(self, topics: dict[str, Any], raise_errors: bool) -> dict[str, Any]:
        assert not raise_errors
        self.created = {name: options for name, options in topics.items() if name not in self.refused}
        told = {name: self.refused.get(name, (0, "")) for name in topics}
        return {
            "topics": [{"name": name, "error_code": code, "error_message": text} for name, (code, text) in told.items()]
        }

    def wait_for_topics(self, topics: list[str]) -> None:
        self.awaited = topics

    def close(self) -> None:
        pass


@pytest.fixture
def brokers(monkeypatch: pytest.MonkeyPatch) -> Callable[[Admin], Admin]:
    """brokers(admin): the broker that the command talks to."""

    def use(admin: Admin) -> Admin:
        monkeypatch.setattr(create, "load_pipelines", lambda path: load_settings(tree()))
        monkeypatch.setattr(create, "connect", lambda kafka: Broker(kafka, {}))
        monkeypatch.setattr("kafka.KafkaAdminClient", lambda **config: admin)
        return admin

    return use


def test_missing_topics_are_created_and_shown(run: Run, brokers: Callable[[Admin], Admin]) -> None:
    admin = brokers(Admin({"in": {}}, partitions={"in": 3}))
    ended = run("topics", "create", "-c", "any", "--yes", "--replication", "2")
    assert (ended.code, ended.err) == (0, "")
    assert [line.split() for line in ended.out.splitlines()[:2]] == [
        ["in", "exists", "3", "partitions", "input", "of", "feedback"],
        ["out", "to", "create", "3", "partitions", "output", "of", "feedback"],
    ]
    assert f"  {COMMAND} out --partitions 3 --replication-factor 2\n" in ended.out
    assert ended.out.endswith("Created 3 topics.\n")
    assert admin.created["dlq"] == {"num_partitions": 3, "replication_factor": 2, "configs": {}}
    assert admin.awaited == ["dlq", "dlq.redriven", "out"]


def test_nothing_is_created_without_yes_or_a_terminal(run: Run, brokers: Callable[[Admin], Admin]) -> None:
    admin = brokers(Admin({}))
    ended = run("topics", "create", "-c", "any")
    fails(ended, 2, "--yes: is missing, and there is no terminal to ask on")
    assert f"{COMMAND} in --partitions 6\n" in ended.out
    assert admin.created == {}


@pytest.mark.parametrize(("answer", "code"), [(True, 0), (False, 1)])
def test_terminal_is_asked(
    run: Run, brokers: Callable[[Admin], Admin], monkeypatch: pytest.MonkeyPatch, answer: bool, code: int
) -> None:
    admin = brokers(Admin({}))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr(typer, "confirm", lambda question, err: answer)
    assert run("topics", "create", "-c", "any").code == code
    assert bool(admin.created) == answer


def test_existing_topics_need_no_answer(run: Run, brokers: Callable[[Admin], Admin]) -> None:
    brokers(Admin({"in": {}, "out": {}, "dlq": {}, "dlq.redriven": {}}))
    ended = run("topics", "create", "-c", "any")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.endswith("\nAll topics exist.\n")


def test_refused_topic_names_kafkas_command(run: Run, brokers: Callable[[Admin], Admin]) -> None:
    refused = {"out": (29, "no"), "dlq": (38, "one broker only"), "dlq.redriven": (36, "exists")}
    admin = brokers(Admin({"in": {}}, refused, errors={"out": 29}))
    ended = run("topics", "create", "-c", "any", "--yes")
    assert ended.code == 1
    assert ended.err.splitlines() == [
        "problem: no permission to create topic out; grant CREATE on the topic, or have an administrator run: "
        f"{COMMAND} out --partitions 1",
        "problem: topic dlq was not created (InvalidReplicationFactorError: one broker only); lower --replication",
    ]
    assert admin.awaited == ["dlq.redriven"]


def test_broken_topic_is_a_problem(run: Run, brokers: Callable[[Admin], Admin]) -> None:
    brokers(Admin({}, errors={"out": 5}))
    fails(run("topics", "create", "-c", "any", "--yes"), 1, "topic out cannot be used (LeaderNotAvailableError)")


def test_in_memory_broker_needs_no_topics(run: Run, write_config: WriteConfig) -> None:
    broker = InMemoryBroker()
    try:
        ended = run("topics", "create", "-c", write_config(bootstrap=broker.bootstrap))
    finally:
        broker.close()
    assert ended.code == 0
    assert "creates topics on first use" in ended.out
