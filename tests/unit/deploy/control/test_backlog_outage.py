"""An outage of the brokers is logged twice, and told with its start and cause meanwhile."""

import logging

import pytest

from labelstream.deploy.control.backlog_outage import BacklogOutage
from tests.support.clock import Clock


def test_outage_is_logged_at_its_start_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    clock.now = 1_764_356_367.0  # 2025-11-28, 18:59:27 UTC
    outage = BacklogOutage(clock)
    outage.answered()
    assert outage.warning() is None
    for cause in ("no broker answers at h:9092", "another"):
        outage.failed(cause)
        clock.now += 48.5
    assert outage.warning() == "the lag is unknown since 18:59:27 UTC: no broker answers at h:9092"
    outage.answered()
    assert outage.warning() is None
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "the lag is unknown: no broker answers at h:9092; asking until the brokers answer"),
        ("INFO", "the lag is known again after 97 s"),
    ]
