"""Keeps since when and why the backlog is unknown, and logs the start and the end of each outage once."""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

logger = logging.getLogger(__name__)
SHORT_S = 5.0  # the first group of a new broker and a change of the coordinator take less


class BacklogOutage:
    """Says nothing of an outage shorter than SHORT_S. Use from one thread; `warning` from any.

    `now_s`: seconds since 1970.
    """

    def __init__(self, now_s: Callable[[], float] = time.time) -> None:
        self._now_s = now_s
        self._began_s: float | None = None
        self._warning: str | None = None

    def failed(self, cause: str) -> None:
        """The brokers did not tell the backlog."""
        if self._began_s is None:
            self._began_s = self._now_s()
        if self._warning is None and self._now_s() >= self._began_s + SHORT_S:
            self._warning = (
                f"the lag is unknown since {datetime.fromtimestamp(self._began_s, UTC):%H:%M:%S} UTC: {cause}"
            )
            logger.warning("%s", self._warning)

    def answered(self) -> None:
        """The brokers told the backlog."""
        if self._began_s is not None and self._warning is not None:
            logger.info("the lag is known again after %.0f s", self._now_s() - self._began_s)
        self._began_s = self._warning = None

    def warning(self) -> str | None:
        """Text for people; None while the backlog is known."""
        return self._warning
