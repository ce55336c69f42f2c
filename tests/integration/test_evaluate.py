"""`labelstream evaluate --topic` on a real broker: the committed records up to the end at the start."""

import json
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from kafka import KafkaProducer

from tests.kafka import Broker
from tests.support.command import call
from tests.support.models import LABELS, TEXTS, build
from tests.support.streams import produce


def test_topic_equals_file_and_hides_aborted_records(kafka: Broker, topic: str, tmp_path: Path) -> None:
    rows = [{"review": {"body": f"{TEXTS[i % len(TEXTS)]} {i}"}, "truth": LABELS[i % 2]} for i in range(40)]
    lines = [json.dumps(row).encode() for row in rows]
    produce(
        kafka.bootstrap, topic, [(None, line) for line in [*lines, b"not JSON", b'{"review": {"body": "no truth"}}']]
    )
    with closing(KafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=f"{topic}-aborted")) as producer:
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(topic, lines[0]).get(10)
        producer.abort_transaction()
    model = build(tmp_path / "model")
    config, data = tmp_path / "labelstream.yaml", tmp_path / "data.jsonl"
    data.write_bytes(b"\n".join(lines))
    tree = {"kafka": {"bootstrap_servers": kafka.bootstrap}, "models": {"m": {"source": str(model)}}, "http": {}}
    config.write_text(yaml.safe_dump(tree))
    found = []
    for source in (("--topic", topic), (str(data),)):
        result = tmp_path / f"{len(found)}.json"
        fields = ("--text-field", "review.body", "--label-field", "truth", "--json", str(result))
        ended = call("evaluate", *source, "-c", str(config), *fields, timeout_s=240)
        assert ended.returncode == 0, ended.stderr
        found.append(json.loads(result.read_text()))
    from_topic, from_file = found
    assert [reason.partition("; ")[0] for reason in from_topic["data"]["left_out"]] == [
        f"{topic}:0:40: not a JSON object",
        f"{topic}:0:41: no label at truth",
    ]
    assert (from_topic["data"]["texts"], from_file["data"]["texts"]) == (40, 40)
    both = [one["models"][0] for one in found]
    assert both[0]["confusion_matrix"] == both[1]["confusion_matrix"]
    assert both[0]["metrics"]["eval_loss"] == pytest.approx(both[1]["metrics"]["eval_loss"], abs=1e-6)


def test_missing_topic_is_one_line(kafka: Broker) -> None:
    ended = call("evaluate", "--topic", "no-such-topic", "--bootstrap", kafka.bootstrap)
    assert ended.returncode == 1
    assert ended.stderr.startswith(b"labelstream: topic no-such-topic does not exist")
    assert len(ended.stderr.splitlines()) == 1
