"""`check --connect`: what the settings of a pipeline's topics mean for its results."""

from typing import Any

import pytest
from kafka.errors import ClusterAuthorizationFailedError

from labelstream.deploy.cli.application.preflight import Remarks, compare_retention

DAY = 86_400_000


class Admin:
    """Knows the settings of topics; of the others it tells none."""

    def __init__(self, **topics: dict[str, str]) -> None:
        self._topics = topics

    def describe_configs(self, resources: list[Any], config_filter: str) -> Any:
        [resource] = resources
        if resource.name not in self._topics:
            raise ClusterAuthorizationFailedError
        settings = {"cleanup.policy": "delete", "message.timestamp.type": "CreateTime"} | self._topics[resource.name]
        return {"topic": {resource.name: {name: {"value": value} for name, value in settings.items()}}}


def notes(given: dict[str, str] | None, kept: dict[str, str] | None) -> list[str]:
    known = {"in": given, "out": kept}
    remarks = Remarks()
    admin = Admin(**{name: found for name, found in known.items() if found is not None})
    compare_retention(admin, "pipelines.p.output", "in", "out", remarks)
    assert remarks.problems == []
    return remarks.notes


def days(number: int, **more: str) -> dict[str, str]:
    return {"retention.ms": str(number * DAY)} | {name.replace("_", "."): value for name, value in more.items()}


FOREVER = {"retention.ms": "-1"}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (days(7), days(7)),
        (days(1), days(7)),
        (days(7), FOREVER),
        (FOREVER, FOREVER),
        (days(7), days(1, cleanup_policy="compact")),
        (days(7), days(1, message_timestamp_type="LogAppendTime")),
    ],
)
def test_nothing_is_said_where_no_result_is_deleted_at_once(given: dict[str, str], kept: dict[str, str]) -> None:
    assert notes(given, kept) == []


@pytest.mark.parametrize(
    ("given", "kept", "said"),
    [
        (days(7), days(1), "topic out keeps records for 1 d (retention.ms), the input topic in for 7 d: "),
        (FOREVER, {"retention.ms": "5400000"}, "for 90 min (retention.ms), the input topic in for good: "),
        (days(7, cleanup_policy="compact"), {"retention.ms": "0"}, "for 0 ms (retention.ms), the input topic in for"),
        (days(7), days(1, cleanup_policy="compact,delete"), "for 1 d (retention.ms), the input topic in for 7 d: "),
        (None, days(1), "retention.ms of topic in cannot be read"),
        (days(1), None, "retention.ms of topic out cannot be read"),
    ],
)
def test_a_shorter_retention_is_told(given: dict[str, str] | None, kept: dict[str, str] | None, said: str) -> None:
    [note] = notes(given, kept)
    assert note.startswith("pipelines.p.output: ")
    assert said in note
