"""What the broker tells of a topic."""

from types import SimpleNamespace
from typing import Any

import pytest

from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.broker.topics import (
    TopicSettings,
    access_problem,
    named_topics,
    outputs_of,
    topics_read,
    written_topics,
)
from labelstream.workers.stream.codec.timestamps import NO_LIMIT_MS, Window
from tests.support.fake_admin import FakeAdmin


def described(**more: Any) -> dict[str, Any]:
    return {"name": "t", "error_code": 0, "authorized_operations": ["READ"], **more}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (described(), None),
        (described(authorized_operations=None), None),
        (described(authorized_operations=["WRITE"]), "no permission to read topic t; grant READ on it"),
        (described(error_code=3), "topic t does not exist; create it"),
        (described(error_code=29), "no permission to see topic t; create it if it is missing, and grant READ on it"),
        (described(error_code=17), "topic t cannot be used (InvalidTopicError); look at the brokers' logs"),
    ],
)
def test_access_problem_names_what_to_do(found: dict[str, Any], said: str | None) -> None:
    problem = access_problem(found, "READ")
    assert problem is None if said is None else (problem or "").startswith(said)


def test_review_topic_is_one_that_is_written_to() -> None:
    names = {"input": "in", "output": "out", "dead_letter": "dlq", "review": "unsure", "model": "m"}
    pipeline = PipelineSettings.model_validate(names)
    assert outputs_of(pipeline) == {"output": "out", "dead_letter": "dlq", "review": "unsure"}
    assert named_topics(pipeline) == ["in", "out", "dlq", "unsure"]
    assert written_topics(pipeline) == ["out", "dlq", "unsure"]


@pytest.mark.parametrize(
    ("input", "read"), [("in", ["in"]), (["b", "a"], ["b", "a"]), ({"pattern": "[ab]|__.*"}, ["a", "b"])]
)
def test_topics_read_are_those_named_or_matching(input: Any, read: list[str]) -> None:
    names = {"input": input, "output": "out", "dead_letter": "dlq", "model": "m"}
    admin = SimpleNamespace(list_topics=lambda: ["b", "a", "abc", "__a"])
    assert topics_read(admin, PipelineSettings.model_validate(names)) == read


def test_settings_that_may_not_be_read_are_unknown() -> None:
    settings = TopicSettings.read(FakeAdmin({"t": None}), "t")
    assert (settings.max_message_bytes(), settings.is_compacted(), settings.retention_ms()) == (None, False, None)
    assert settings.window() == Window()


@pytest.mark.parametrize(
    ("own", "retention_ms"),
    [
        ({}, 604_800_000),
        ({"retention.ms": "-1"}, NO_LIMIT_MS),
        ({"cleanup.policy": "compact"}, NO_LIMIT_MS),
        ({"cleanup.policy": "compact,delete", "retention.ms": "1000"}, 1_000),
    ],
)
def test_retention_is_what_age_deletes(own: dict[str, str], retention_ms: int) -> None:
    settings = TopicSettings.read(FakeAdmin({"t": own}), "t")
    assert settings.retention_ms() == retention_ms
    assert settings.window() == Window(before_ms=retention_ms)
