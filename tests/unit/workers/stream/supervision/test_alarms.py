"""Alarms in the log."""

import logging

import pytest

from labelstream.workers.stream.report import ALARMS_PAGE
from labelstream.workers.stream.stats import Stats
from labelstream.workers.stream.supervision.alarms import Alarms


def test_alarms_are_said_once_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    stats = Stats()
    alarms = Alarms("p", stats)
    with caplog.at_level(logging.WARNING, "labelstream.workers.stream.supervision.alarms"):
        for seconds in range(3):
            alarms.update("watch", {"a": f"silent for {seconds} s"})
        alarms.update("check", {"b": "stuck"})
        assert alarms.texts() == ["silent for 0 s", "stuck"]
        alarms.update("watch", {})
        assert alarms.texts() == ["stuck"]
    assert [record.getMessage() for record in caplog.records] == [
        f"pipeline p: alarm: silent for 0 s ({ALARMS_PAGE})",
        f"pipeline p: alarm: stuck ({ALARMS_PAGE})",
        "pipeline p: alarm is over: silent for 0 s",
    ]
    assert stats.snapshot()["alarms_raised"] == 2
