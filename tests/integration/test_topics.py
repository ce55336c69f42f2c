"""`topics create` on a real broker creates a config's topics, or tells which command needs which right."""

import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import yaml
from kafka import KafkaAdminClient

from tests.kafka import Broker, KafkaBroker
from tests.support.command import call


def write(folder: Path, kafka: dict[str, Any], names: str) -> str:
    """Write a config whose topics begin with `names` and return its path."""
    topics = {"input": f"{names}.in", "output": f"{names}.out", "dead_letter": f"{names}.dlq", "review": f"{names}.rev"}
    tree = {
        "kafka": kafka,
        "models": {"m": {"source": "owner/name"}},
        "pipelines": {"p": {**topics, "model": "m", "output_partition": "same"}},
    }
    path = folder / "labelstream.yaml"
    path.write_text(yaml.safe_dump(tree))
    return str(path)


def test_topics_create_makes_topics_of_config(kafka: Broker, tmp_path: Path) -> None:
    names = uuid.uuid4().hex
    config = write(tmp_path, {"bootstrap_servers": kafka.bootstrap}, names)
    kafka.create_topic(f"{names}.in", 3)
    ended = call("topics", "create", "-c", config, "--yes", "--partitions", "2")
    assert (ended.returncode, ended.stderr) == (0, b"")
    parts = ["in", "out", "dlq", "rev", "dlq.redriven"]
    admin: Any
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        told = admin.describe_topics([f"{names}.{part}" for part in parts])
    assert {one["name"].removeprefix(f"{names}."): len(one["partitions"]) for one in told} == {
        "in": 3,
        "out": 3,
        "dlq": 2,
        "rev": 2,
        "dlq.redriven": 1,
    }
    again = call("topics", "create", "-c", config)
    assert (again.returncode, again.stdout.endswith(b"All topics exist.\n")) == (0, True)


def test_topics_create_without_right_prints_commands(tmp_path: Path) -> None:
    with KafkaBroker(users={"admin": "secret1", "worker": "secret2"}, super_users=["admin"]) as broker:
        (tmp_path / "password").write_text("secret2")
        security = {
            "protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "PLAIN",
            "username": "worker",
            "password_file": "password",
        }
        config = write(tmp_path, {"bootstrap_servers": broker.bootstrap, "security": security}, "t")
        ended = call("topics", "create", "-c", config, "--yes")
    assert ended.returncode == 1
    problems = ended.stderr.decode().splitlines()
    assert len(problems) == 5
    assert problems[0] == (
        "problem: no permission to create topic t.in; grant CREATE on the topic, or have an administrator run: "
        f"kafka-topics.sh --bootstrap-server {broker.bootstrap} --command-config client.properties --create "
        "--if-not-exists --topic t.in --partitions 6"
    )
