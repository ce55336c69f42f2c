"""Findings of `run` before Ray starts, and the logs that remain after a later failure."""

import json
import re
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kafka import KafkaConsumer

from tests.kafka import Broker
from tests.support.command import call
from tests.support.models import build

MakeTopic = Callable[..., str]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("model"))


def write(folder: Path, bootstrap: str, models: dict[str, Any], topics: dict[str, str]) -> str:
    pipeline = {**topics, "model": next(iter(models)), "models": list(models), "group_id": topics["input"]}
    path = folder / "labelstream.yaml"
    tree = {"kafka": {"bootstrap_servers": bootstrap}, "models": models, "pipelines": {"p": pipeline}}
    path.write_text(yaml.safe_dump(tree))
    return str(path)


def lines(output: bytes, part: str) -> list[str]:
    """The text after `part`, by lines."""
    return [line.partition(part)[2] for line in output.decode().splitlines() if part in line]


def test_run_and_check_report_all_findings_at_once(kafka: Broker, topic: str, model: Path, tmp_path: Path) -> None:
    models = {"there": {"source": str(model), "num_gpus": 1}, "gone": {"source": str(tmp_path / "gone")}}
    config = write(tmp_path, kafka.bootstrap, models, {"input": topic, "output": "nowhere", "dead_letter": "neither"})
    consumer = KafkaConsumer(topic, bootstrap_servers=kafka.bootstrap, group_id=topic, client_id="billing")
    with socket.create_server(("0.0.0.0", 0)) as taken:
        while not consumer.assignment():
            consumer.poll(100)
        port = str(taken.getsockname()[1])
        ran = call("run", "-c", config, "--metrics-port", port)
    checked = call("check", "--connect", "-c", config)
    consumer.close()
    assert (ran.returncode, checked.returncode) == (1, 1)
    found = lines(ran.stderr, " ERROR ")
    keys = [line.partition(": ")[0] for line in found]
    assert keys == [
        "pipelines.p.output",
        "pipelines.p.dead_letter",
        "pipelines.p.group_id",
        "models.there.num_gpus",
        "--metrics-port",
        "models.gone.source",
    ]
    assert f"group {topic} is in use by billing at 127.0.0.1, with the assignor range" in found[2]
    assert f"port {port} is not free" in found[4]
    assert ran.stderr.decode().splitlines()[-1] == "labelstream: nothing is started: 6 problems, see above"
    assert lines(checked.stderr, "problem: ") == [line for line in found if not line.startswith("--metrics-port")]
    elsewhere = call("check", "--connect", "--cluster", "-c", config)
    assert not any("num_gpus" in line for line in lines(elsewhere.stderr, "problem: "))


@pytest.mark.ray
def test_failed_replica_start_names_cause_and_keeps_logs(
    kafka: Broker, make_topic: MakeTopic, model: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    settings = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps(settings | {"model_type": "no-such-kind"}))
    topics = {"input": make_topic(), "output": make_topic(), "dead_letter": make_topic()}
    ended = call("run", "-c", write(tmp_path, kafka.bootstrap, {"m": {"source": str(broken)}}, topics), timeout_s=120)
    assert ended.returncode == 1
    said = ended.stderr.decode()
    assert "no-such-kind" in said.splitlines()[-1]
    kept = Path(re.findall(r"the logs of Ray and Serve are kept in (\S+)", said)[0])
    try:
        assert any("no-such-kind" in path.read_text(errors="replace") for path in (kept / "serve").iterdir())
    finally:
        shutil.rmtree(kept.parent)
