"""Keeps since when and why the backlog is unknown, and logs the start and the end of each outage once."""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

logger = logging.getLogger(__name__)


class BacklogOutage:
    """Use from one thread; `warning` from any. `now_s`: seconds since 1970."""

    def __init__(self, now_s: Callable[[], float] = time.time) -> None:
        self._now_s = now_s
        self._began: tuple[float, str] | None = None

    def failed(self, cause: str) -> None:
        """The brokers did not tell the backlog."""
        if self._began is None:
            self._began = (self._now_s(), cause)
            logger.warning("the lag is unknown: %s; asking until the brokers answer", cause)

    def answered(self) -> None:
        """The brokers told the backlog."""
        if self._began is not None:
            logger.info("the lag is known again after %.0f s", self._now_s() - self._began[0])
            self._began = None

    def warning(self) -> str | None:
        """Text for people; None while the backlog is known."""
        if self._began is None:
            return None
        began_s, cause = self._began
        return f"the lag is unknown since {datetime.fromtimestamp(began_s, UTC):%H:%M:%S} UTC: {cause}"
