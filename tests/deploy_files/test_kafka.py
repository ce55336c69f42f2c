"""compose.yaml's broker and topics without a container: what the image makes of the environment, on loopback.

The image's `run` script calls KafkaDockerWrapper, then starts the broker. The class is among Kafka's jars.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka.errors import KafkaError

from tests.deploy_files.conftest import ROOT, deploycheck
from tests.kafka.broker import Broker, free_port
from tests.kafka.install import java_command
from tests.kafka.settings import JAVA_FLAGS

# As Kafka's distribution has them, in little; the image's start-up changes levels in it.
LOG4J = """
Configuration:
  Properties:
    Property: []
  Appenders:
    Console: {name: STDOUT, PatternLayout: {pattern: "%d %p %m (%c)%n"}}
  Loggers:
    Root: {level: WARN, AppenderRef: [{ref: STDOUT}]}
    Logger: []
"""
START_S = 120.0


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return deploycheck("compose", ROOT / "deploy" / "compose.yaml")["services"]


def here(text: str, ports: dict[str, int], folder: Path) -> str:
    """The containers' names and ports as free ports of this machine."""
    text = text.replace("/var/lib/kafka/data", str(folder / "data")).replace("kafka:19092", "localhost:19092")
    for inside, port in ports.items():
        text = text.replace(f"://:{inside}", f"://localhost:{inside}").replace(f":{inside}", f":{port}")
    return text.replace("localhost:", "127.0.0.1:")


@pytest.fixture(scope="module")
def broker(services: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, int]]]:
    """A folder, and the ports by those in the containers. Ends with the test, whatever happens."""
    folder, ports = tmp_path_factory.mktemp("kafka"), {inside: free_port() for inside in ("19092", "9092", "9093")}
    for name in ("default", "mounted", "final"):
        (folder / name).mkdir()
    (folder / "default" / "server.properties").touch()
    for name in ("log4j2.yaml", "tools-log4j2.yaml"):
        (folder / "default" / name).write_text(LOG4J)
    kafka = {name: here(value, ports, folder) for name, value in services["kafka"]["environment"].items()}
    environment = {**{name: value for name, value in os.environ.items() if not name.startswith("KAFKA")}, **kafka}
    java = [*java_command(), *JAVA_FLAGS]
    subprocess.run(
        [
            *java,
            "kafka.docker.KafkaDockerWrapper",
            "setup",
            "--default-configs-dir",
            "default",
            "--mounted-configs-dir",
            "mounted",
            "--final-configs-dir",
            "final",
        ],
        cwd=folder,
        env=environment,
        check=True,
        timeout=START_S,
    )
    log = folder / "broker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*java, "kafka.Kafka", "final/server.properties"],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_until_ready(f"127.0.0.1:{ports['9092']}", process, log)
        yield folder, ports
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until_ready(bootstrap: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            Broker(bootstrap).admin().close()
            return
        except KafkaError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()


def test_the_topics_are_created(services: dict[str, Any], broker: tuple[Path, dict[str, int]]) -> None:
    folder, ports = broker
    tool = folder / "kafka-topics.sh"
    java = " ".join(f"'{part}'" for part in (*java_command(), *JAVA_FLAGS))
    tool.write_text(f'#!/bin/sh\nexec {java} org.apache.kafka.tools.TopicCommand "$@"\n')
    tool.chmod(0o755)
    service = services["topics"]
    (script,) = service["command"]
    command = [*service["entrypoint"], here(script, ports, folder).replace("/opt/kafka/bin", str(folder))]
    for _ in range(2):  # `up` again finds them
        subprocess.run(command, env={**os.environ, **service["environment"]}, check=True, timeout=START_S)
    for listener in ("9092", "19092"):
        with Broker(f"127.0.0.1:{ports[listener]}").admin() as admin:
            assert set(admin.list_topics()) == {"feedback.raw", "feedback.labels", "feedback.dlq"}
            described = admin.describe_topics(["feedback.raw"])
            assert len(described[0]["partitions"]) == 6


def test_no_topic_comes_by_itself(broker: tuple[Path, dict[str, int]]) -> None:
    properties = (broker[0] / "final" / "server.properties").read_text().splitlines()
    assert "auto.create.topics.enable=false" in properties
