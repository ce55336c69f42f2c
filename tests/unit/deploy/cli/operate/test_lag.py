"""The output of `labelstream lag` for the brokers' answers."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from kafka.structs import TopicPartition

from labelstream.deploy.cli.operate import lag as module
from labelstream.deploy.cli.operate.lag import PipelineLag
from labelstream.workers.records.inputs import InputTopics
from labelstream.workers.stream.broker.positions import Position
from labelstream.workers.stream.consumer.offset_reset import Log
from tests.unit.deploy.cli.conftest import Run, fails

WriteConfig = Callable[..., str]


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """tell(pipelines): the brokers' answers, from which the asked pipelines are taken."""

    def play(*found: PipelineLag) -> None:
        monkeypatch.setattr(module, "connect", lambda kafka: None)
        monkeypatch.setattr(module, "_ask", lambda settings, broker, names: [f for f in found if f.name in names])
        monkeypatch.setenv("COLUMNS", "80")

    return play


def behind(name: str = "feedback", members: int = 2) -> PipelineLag:
    places = [TopicPartition("in", number) for number in range(3)]
    found = Position(Log(0, 150), 100, 100), Position(Log(30, 90), 10, 30), Position(Log(0, 7), None, 0)
    at, ages = dict(zip(places, found, strict=True)), {places[0]: 12.34, places[1]: 7_300.0}
    return PipelineLag(name, InputTopics(("in",)), f"labelstream-{name}", members, at, ages)


def test_each_partition_is_a_row_with_total_last(
    run: Run, write_config: WriteConfig, tell: Callable[..., None]
) -> None:
    tell(behind())
    ended = run("lag", "-c", write_config())
    assert ended.code == 0
    assert [line.rstrip() for line in ended.out.splitlines()] == [
        "feedback: 117 messages behind",
        "  topic in; group labelstream-feedback, 2 members",
        "partition  committed  end  lag  oldest",
        "        0        100  150   50    12 s",
        "        1         10   90   60     2 h",
        "        2          -    7    7       -",
        "    total                  117     2 h",
        "  partition 1: retention has deleted 20 unprocessed messages",
        "  committed -: no committed offset yet; the lag counts from where `start_from` begins",
    ]


def test_nothing_is_cut_in_80_columns(run: Run, write_config: WriteConfig, tell: Callable[..., None]) -> None:
    far = 10**17
    name = "feedback-" * 5 + "north"
    at = {TopicPartition("t" * 249, n): Position(Log(0, far * 2), far + n, far + n) for n in range(3)}
    tell(PipelineLag(name, InputTopics(("t" * 249,)), "g" * 249, 0, at, {}))
    path = write_config("  feedback:", f"  {name}:")
    ended = run("lag", "-c", path)
    whole = "".join(ended.out.split())
    assert "…" not in ended.out
    for part in (name, "t" * 249, "g" * 249, "no members: the pipeline does not run", str(far + 2), str(far * 2)):
        assert "".join(part.split()) in whole


def test_stopped_pipeline_and_truncated_log_are_noted(
    run: Run, write_config: WriteConfig, tell: Callable[..., None]
) -> None:
    tell(
        PipelineLag("feedback", InputTopics(("in",)), "g", 0, {TopicPartition("in", 0): Position(Log(0, 5), 9, 9)}, {})
    )
    ended = run("lag", "-c", write_config(), "feedback")
    assert ended.out.startswith(
        "feedback: 0 messages behind\n  topic in; group g, no members: the pipeline does not run\n"
    )
    assert "total" not in ended.out, "of one partition"
    assert "partition 0: the committed offset is after the end" in ended.out


def test_several_topics_are_named_in_each_row(run: Run, write_config: WriteConfig, tell: Callable[..., None]) -> None:
    at = {TopicPartition(topic, 0): Position(Log(0, 5), 4, 4) for topic in ("chat", "mail")}
    tell(PipelineLag("feedback", InputTopics(("chat", "gone", "mail")), "g", 1, at, {}))
    assert [line.rstrip() for line in run("lag", "-c", write_config()).out.splitlines()] == [
        "feedback: 2 messages behind",
        "  topics chat, mail; group g, 1 member",
        "partition  committed  end  lag  oldest",
        "   chat:0          4    5    1       -",
        "   mail:0          4    5    1       -",
        "    total                    2       -",
        "  topic gone does not exist",
    ]


def test_pattern_without_topic_is_named(run: Run, write_config: WriteConfig, tell: Callable[..., None]) -> None:
    tell(PipelineLag("feedback", InputTopics((), "x.*"), "g", 0, {}, {}))
    assert "  no topic matches x.*; group g, no members" in run("lag", "-c", write_config()).out


def test_json_has_all_numbers(run: Run, write_config: WriteConfig, tell: Callable[..., None]) -> None:
    tell(behind(), behind("other"))
    found = json.loads(run("lag", "-c", write_config(), "--json").out)
    assert list(found) == ["feedback"]
    partitions = found["feedback"].pop("partitions")
    expected = {"topics": ["in"], "group": "labelstream-feedback", "members": 2, "lag": 117, "oldest_s": 7_300.0}
    assert found["feedback"] == expected
    assert partitions["in:1"] == {"committed": 10, "start": 30, "end": 90, "lag": 60, "lost": 20, "oldest_s": 7_300.0}
    assert (partitions["in:2"]["committed"], partitions["in:2"]["oldest_s"]) == (None, None)


def test_unknown_pipeline_and_missing_config_ask_no_broker(run: Run, write_config: WriteConfig, tmp_path: Path) -> None:
    fails(run("lag", "-c", write_config(), "feedbak"), 2, "no pipeline 'feedbak' in", "give one of feedback")
    fails(run("lag", "-c", str(tmp_path / "nowhere.yaml")), 2, "cannot be read")
