"""From labeled texts to thresholds to a stream that abstains as promised."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from labelstream.deploy.cli.common.arguments import DEMO_MODEL
from labelstream.workers.evaluation.fitting.split import fitting_half
from tests.integration.conftest import MakeTopic
from tests.kafka import Broker
from tests.support.command import call
from tests.support.demo_sentences import write_sentences
from tests.support.running_command import RunningCommand
from tests.support.streams import Topics, produce, read_results

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]


@pytest.fixture
def topics(make_topic: MakeTopic) -> Topics:
    return Topics(make_topic(2), make_topic(), make_topic(), make_topic())


@pytest.fixture
def config(kafka: Broker, topics: Topics, tmp_path: Path) -> Path:
    pipeline = {**vars(topics), "model": "sentiment", "group_id": topics.input}
    tree = {
        "kafka": {"bootstrap_servers": kafka.bootstrap},
        "models": {"sentiment": {"source": str(DEMO_MODEL), "dtype": "float32"}},
        "pipelines": {"reviews": pipeline},
    }
    path = tmp_path / "labelstream.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


@pytest.fixture
def started() -> Iterator[list[RunningCommand]]:
    running: list[RunningCommand] = []
    yield running
    for command in running:
        command.process.send_signal(signal.SIGTERM)
        command.wait()


def test_written_thresholds_abstain_from_the_promised_share(
    kafka: Broker, topics: Topics, config: Path, tmp_path: Path, started: list[RunningCommand]
) -> None:
    """On the texts of the judged half, which chose no threshold."""
    data, tuned, found = tmp_path / "data.jsonl", tmp_path / "tuned.yaml", tmp_path / "found.json"
    texts = write_sentences(data)
    fits = ("--calibrate", "--target", "coverage=0.8", "--write-config", str(tuned), "--json", str(found))
    ended = call("evaluate", "-c", str(config), str(data), *fits, timeout_s=300)
    assert ended.returncode == 0, ended.stderr
    promised = json.loads(found.read_text())["fitted"]["abstained"]

    half = fitting_half([(text, None) for text in texts])
    judged = [text for text, is_fitting in zip(texts, half, strict=True) if not is_fitting]
    records = [(None, json.dumps({"id": i, "text": text}).encode()) for i, text in enumerate(judged)]
    produce(kafka.bootstrap, topics.input, records)
    started.append(RunningCommand("run", "-c", str(tuned)))
    started[0].until("everything runs", 400)
    results = read_results(kafka.bootstrap, topics.output, len(judged))
    abstained = [result for result in results if result["abstained"]]
    assert (len(abstained), len(results)) == (promised["number"], promised["of"])
    assert 0.1 < promised["share"] < 0.3
    assert topics.review is not None
    reviewed = read_results(kafka.bootstrap, topics.review, len(abstained))
    assert {result["id"] for result in reviewed} == {result["id"] for result in abstained}
