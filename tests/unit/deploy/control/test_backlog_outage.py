"""An outage of the brokers is logged twice, and told with its start and cause meanwhile."""

import logging

import pytest

from labelstream.deploy.control.backlog_outage import SHORT_S, BacklogOutage
from tests.support.clock import Clock


def test_outage_is_logged_at_its_start_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    clock.now = 1_764_356_367.0  # 2025-11-28, 18:59:27 UTC
    outage = BacklogOutage(clock)
    outage.answered()
    for cause in ("a timeout", "no broker answers at h:9092", "another"):
        assert outage.warning() is None or cause == "another"
        outage.failed(cause)
        clock.now += 30
    assert outage.warning() == "the lag is unknown since 18:59:27 UTC: no broker answers at h:9092"
    outage.answered()
    assert outage.warning() is None
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "the lag is unknown since 18:59:27 UTC: no broker answers at h:9092"),
        ("INFO", "the lag is known again after 90 s"),
    ]


def test_short_outage_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    outage = BacklogOutage(clock)
    for _ in range(3):
        outage.failed("no coordinator yet")
        clock.now += SHORT_S - 1
        outage.failed("no coordinator yet")
        outage.answered()
    assert (outage.warning(), caplog.records) == (None, [])
