"""All that is wrong with a pipeline's topics, and what their settings mean for its results."""

import logging
from typing import Any

import pytest
from kafka.errors import GroupAuthorizationFailedError

from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.broker.topic_check import TopicCheck
from labelstream.workers.stream.broker.topics import DEFAULT_MAX_BYTES, TopicLimits
from labelstream.workers.stream.codec.timestamps import Window
from tests.support.fake_admin import NOT_ALLOWED, FakeAdmin

DAY = 86_400_000
FOREVER = {"retention.ms": "-1"}
Found = tuple[str, int, str]


def check_of(admin: FakeAdmin, **pipeline: Any) -> TopicCheck:
    settings = PipelineSettings(**{"input": "in", "output": "out", "dead_letter": "dlq", "model": "m", **pipeline})
    return TopicCheck(admin, "p", settings, "g")


def found_by(admin: FakeAdmin, **pipeline: Any) -> list[Found]:
    return [(key, level, text) for key, text, level in check_of(admin, **pipeline).findings]


def texts(given: dict[str, str] | None, kept: dict[str, str] | None, **pipeline: Any) -> list[str]:
    """What is said of an input and an output with these settings."""
    found = found_by(FakeAdmin({"in": given, "out": kept, "dlq": {}}), **pipeline)
    assert all(level == logging.INFO for _, level, _ in found)
    return [f"{key}: {text}" for key, _, text in found]


def days(number: int, **more: str) -> dict[str, str]:
    return {"retention.ms": str(number * DAY)} | {name.replace("_", "."): value for name, value in more.items()}


def test_topics_that_serve_are_no_finding() -> None:
    admin = FakeAdmin({"in": {}, "out": {}, "dlq": {}, "unsure": {}})
    assert found_by(admin, review="unsure") == []
    assert sorted(admin.asked) == ["dlq", "in", "out", "unsure"], "each is asked for its settings once"


def test_several_inputs_are_checked_together() -> None:
    found = {"a": {"retention.ms": str(9 * DAY)}, "b": {}, "out": {}, "dlq": {}}
    admin = FakeAdmin(found, partitions={"a": 2, "b": 4, "out": 3})  # type: ignore[arg-type]
    said = found_by(admin, input=["a", "b", "gone"], output_partition="same", workers=7)
    assert [(key, level, text[:60]) for key, level, text in said] == [
        ("pipelines.p.input", logging.ERROR, "topic gone does not exist; create it with `labelstream topic"),
        ("pipelines.p.output_partition", logging.ERROR, "same needs as many partitions in out (3) as in b (4); the pi"),
        ("pipelines.p.workers", logging.INFO, "7, but the input topics have only 6 partitions: the other wo"),
        ("pipelines.p.output", logging.INFO, "topic out keeps records for 7 d (retention.ms), the input to"),
    ]


def test_pattern_without_topic_is_a_warning() -> None:
    admin = FakeAdmin({"out": {}, "dlq": {}})
    text = "no topic matches logs.*; the pipeline waits until one is created"
    assert found_by(admin, input={"pattern": "logs.*"}) == [("pipelines.p.input", logging.WARNING, text)]
    assert check_of(FakeAdmin({"logs": {}, "out": {}, "dlq": {}}), input={"pattern": "logs.*"}).findings == []


def test_all_findings_come_in_the_order_of_the_config() -> None:
    admin = FakeAdmin(
        {"in": {}, "dlq": {}, "unsure": {}},
        allowed={"in": ["DESCRIBE"], "dlq": ["READ"]},
        errors={"unsure": NOT_ALLOWED},
        joining=[GroupAuthorizationFailedError],
    )
    assert found_by(admin, review="unsure") == [
        ("pipelines.p.input", logging.CRITICAL, "no permission to read topic in; grant READ on it"),
        (
            "pipelines.p.output",
            logging.CRITICAL,
            "topic out does not exist; create it with `labelstream topics create -c FILE`, or kafka-topics.sh "
            "--bootstrap-server HOST:PORT --create --topic out --partitions 6",
        ),
        ("pipelines.p.dead_letter", logging.CRITICAL, "no permission to write topic dlq; grant WRITE on it"),
        (
            "pipelines.p.review",
            logging.CRITICAL,
            "no permission to see topic unsure; create it if it is missing, and grant WRITE on it",
        ),
        ("pipelines.p.group_id", logging.CRITICAL, "no permission to read group g; grant READ on it"),
    ]


def test_too_few_partitions_keep_nothing_from_starting() -> None:
    admin = FakeAdmin({"in": {}, "out": {}, "dlq": {}}, partitions={"in": 3, "out": 2})
    [few, idle] = found_by(admin, output_partition="same", workers=4)
    assert few[:2] == ("pipelines.p.output_partition", logging.ERROR)
    assert few[2].startswith("same needs as many partitions in out (2) as in in (3); ")
    assert idle[:2] == ("pipelines.p.workers", logging.INFO)
    assert idle[2].startswith("4, but topic in has only 3 partitions")


def test_unreadable_settings_are_one_note_a_topic() -> None:
    admin = FakeAdmin({"in": {}, "out": None, "dlq": {}}, allowed={"out": None})
    [untold, unread] = found_by(admin)
    assert untold[1:] == (logging.INFO, "the broker does not tell whether this client may write topic out")
    assert unread[:2] == ("pipelines.p.output", logging.INFO)
    assert unread[2].startswith("the settings of topic out cannot be read (DESCRIBE_CONFIGS is missing)")
    assert check_of(admin).limits() == TopicLimits()


@pytest.mark.parametrize(
    ("bytes_", "level", "said"),
    [
        (
            1_999,
            logging.CRITICAL,
            "less than a dead letter's headers have; raise its max.message.bytes to 2000 at least",
        ),
        (2_000, logging.INFO, "the input topic 1048588: the values of larger dead letters would be left out"),
        (1_048_588, None, ""),
    ],
)
def test_dead_letters_need_room(bytes_: int, level: int | None, said: str) -> None:
    found = found_by(FakeAdmin({"in": {}, "out": {}, "dlq": {"max.message.bytes": str(bytes_)}}))
    assert [(key, level) for key, level, _ in found] == ([("pipelines.p.dead_letter", level)] if level else [])
    assert all(said in text for *_, text in found)


def test_compacted_topics_need_keys() -> None:
    compact = {"cleanup.policy": "compact"}
    check = check_of(
        FakeAdmin({"in": compact, "out": compact, "dlq": compact, "unsure": {}}),
        review="unsure",
        output_timestamp="now",
    )
    assert [finding.key for finding in check.findings] == ["pipelines.p.output", "pipelines.p.dead_letter"]
    assert "each message without a key becomes a dead letter" in check.findings[0].text
    assert "a record without a key gets a generated key" in check.findings[1].text
    assert check.limits().keyed == {"out", "dlq"}


def test_limits_are_what_output_and_review_both_take() -> None:
    topics = {
        "in": {},
        "out": {"message.timestamp.before.max.ms": "600000"} | FOREVER,
        "dlq": {"max.message.bytes": "5000"},
        "unsure": {"retention.ms": "3600000", "message.timestamp.after.max.ms": "1000"},
    }
    limits = check_of(FakeAdmin(topics), review="unsure").limits()
    assert limits.sizes() == (DEFAULT_MAX_BYTES, 5_000, DEFAULT_MAX_BYTES)
    assert limits.window == Window(600_000, 1_000)
    assert check_of(FakeAdmin(topics), output_timestamp="now").limits().window == Window()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (days(7), days(7)),
        (days(1), days(7)),
        (days(7), FOREVER),
        (FOREVER, FOREVER),
        (days(7), days(7, message_timestamp_type="LogAppendTime")),
        (days(7), days(1, message_timestamp_type="LogAppendTime")),
    ],
)
def test_nothing_is_said_where_no_result_is_deleted_at_once(given: dict[str, str], kept: dict[str, str]) -> None:
    assert texts(given, kept) == []


def test_a_compacted_output_keeps_results_whatever_their_age() -> None:
    assert ["retention.ms" in text for text in texts(days(7), days(1, cleanup_policy="compact"))] == [False]


@pytest.mark.parametrize(
    ("given", "kept", "said"),
    [
        (days(7), days(1), "topic out keeps records for 1 d (retention.ms), the input topic in for 7 d: "),
        (FOREVER, {"retention.ms": "5400000"}, "for 90 min (retention.ms), the input topic in for good: "),
        (days(7, cleanup_policy="compact"), {"retention.ms": "0"}, "for 0 ms (retention.ms), the input topic in for"),
        (days(7), days(1, cleanup_policy="compact,delete"), "for 1 d (retention.ms), the input topic in for 7 d: "),
    ],
)
def test_a_shorter_retention_is_told(given: dict[str, str], kept: dict[str, str], said: str) -> None:
    note = texts(given, kept)[-1]
    assert note.startswith("pipelines.p.output: ")
    assert said in note
    assert not any("retention.ms)" in text for text in texts(given, kept, output_timestamp="now"))
