"""The topics of a config and their partitions."""

from typing import Any

import pytest

from labelstream.deploy.cli.topics.topic_plan import PlannedTopic, alter_command, create_command, plan, topics_of_config
from labelstream.workers.config_file import load_settings
from tests.support.config_tree import tree


def partitions(settings: Any, found: dict[str, int], wanted: int | None = None, matched: Any = None) -> dict[str, int]:
    return {topic.name: topic.partitions for topic in plan(settings, found, wanted, matched or {})}


@pytest.mark.parametrize(
    ("pipeline", "found", "wanted", "expected"),
    [
        ({}, {}, None, {"in": 6, "out": 6, "dlq": 6, "dlq.redriven": 1}),
        ({"workers": 9}, {}, None, {"in": 9, "out": 9, "dlq": 9, "dlq.redriven": 1}),
        ({"review": "rev"}, {"in": 3}, None, {"in": 3, "out": 3, "dlq": 3, "rev": 3, "dlq.redriven": 1}),
        ({}, {"in": 3, "dlq": 1}, 12, {"in": 3, "out": 12, "dlq": 1, "dlq.redriven": 1}),
        ({"output_partition": "same"}, {"in": 8}, 2, {"in": 8, "out": 8, "dlq": 2, "dlq.redriven": 1}),
        ({"output_partition": "same"}, {"in": 8, "out": 2}, None, {"in": 8, "out": 2, "dlq": 8, "dlq.redriven": 1}),
    ],
)
def test_new_topics_follow_the_input(
    pipeline: dict[str, Any], found: dict[str, int], wanted: int | None, expected: dict[str, int]
) -> None:
    assert partitions(load_settings(tree(**pipeline)), found, wanted) == expected


def test_outputs_follow_the_largest_of_several_inputs() -> None:
    listed = load_settings(tree(input=["a", "b"]))
    assert partitions(listed, {"a": 9}) == {"a": 9, "b": 6, "out": 9, "dlq": 9, "dlq.redriven": 1}
    pattern = load_settings(tree(input={"pattern": "logs.*"}))
    found = {"logs.a": 2, "logs.b": 8}
    assert partitions(pattern, found, None, {"feedback": ["logs.a", "logs.b"]}) == {
        "out": 8,
        "dlq": 8,
        "dlq.redriven": 1,
    }
    assert partitions(pattern, {}) == {"out": 6, "dlq": 6, "dlq.redriven": 1}


def test_chain_of_pipelines_passes_partitions_on() -> None:
    config = tree(input="b", output="c", output_partition="same")
    first = {"input": "a", "output": "b", "dead_letter": "dlq", "model": "sentiment", "output_partition": "same"}
    config["pipelines"]["first"] = first
    counts = partitions(load_settings(config), {"a": 12})
    assert (counts["b"], counts["c"]) == (12, 12)


def test_plan_has_existing_topics_and_uses() -> None:
    config = tree(output_partition="same")
    config["pipelines"]["other"] = {"input": "out", "output": "end", "dead_letter": "dlq", "model": "sentiment"}
    settings = load_settings(config)
    assert topics_of_config(settings) == ["in", "out", "dlq", "end", "dlq.redriven"]
    planned = {topic.name: topic for topic in plan(settings, {"in": 4, "out": 2}, None, {})}
    assert planned["out"] == PlannedTopic("out", ("output of feedback", "input of other"), 2, True, False, 4)
    assert planned["dlq.redriven"].options(None) == {
        "num_partitions": 1,
        "replication_factor": -1,
        "configs": {"cleanup.policy": "compact"},
    }


def test_kafkas_command_creates_the_same() -> None:
    kafka = load_settings(tree()).kafka
    assert create_command(kafka, PlannedTopic("t", (), 3, compacted=True), 2) == (
        "kafka-topics.sh --bootstrap-server localhost:9092 --create --if-not-exists --topic t --partitions 3 "
        "--replication-factor 2 --config cleanup.policy=compact"
    )
    config = tree()
    config["kafka"]["security"] = {"protocol": "SSL"}
    assert alter_command(load_settings(config).kafka, PlannedTopic("t", (), 3, True, same_as_input=6)) == (
        "kafka-topics.sh --bootstrap-server localhost:9092 --command-config client.properties --alter --topic t "
        "--partitions 6"
    )
