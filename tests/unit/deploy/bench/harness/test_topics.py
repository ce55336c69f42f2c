"""The topics and consumer groups of a benchmark."""

from labelstream.deploy.bench.harness.topics import group_of, settings_for, topics_of
from labelstream.deploy.bench.suites import stream
from labelstream.workers.settings.kafka import KafkaSettings

KAFKA = KafkaSettings(bootstrap_servers="h:1")


def test_application_has_unique_topics_and_groups() -> None:
    topics = {"p": topics_of("one"), "x": topics_of("two")}
    settings = settings_for(KAFKA, {"source": "x"}, topics, {"x": "exactly_once"})
    assert settings.pipelines["p"].input == "labelstream-bench.one.texts"
    assert settings.group_id("x") == group_of(topics_of("two")) == "labelstream-bench.two"
    assert [settings.pipelines[name].delivery for name in ("p", "x")] == ["at_least_once", "exactly_once"]
    plan = stream.StreamPlan("m", None, 1, 8, "auto", "auto", 2, kafka=KAFKA, run="r")
    assert len(set(plan.topics())) == 7
    assert len(set(plan.groups())) == 5
