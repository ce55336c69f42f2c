"""Alarms of a worker: raised, cleared and logged once for each change."""

import logging
import threading
from collections.abc import Mapping

from labelstream.workers.stream.report import ALARMS_PAGE
from labelstream.workers.stream.stats import Stats

logger = logging.getLogger(__name__)


class Alarms:
    """The alarms of one worker; thread-safe. They do not fail the health check, because a restart would not help."""

    def __init__(self, pipeline: str, stats: Stats) -> None:
        self._pipeline, self._stats = pipeline, stats
        self._lock = threading.Lock()
        self._raised: dict[str, dict[str, str]] = {}

    def update(self, watcher: str, now: Mapping[str, str]) -> None:
        """Replace all alarms of `watcher`: texts by subject. An alarm keeps the text with which it was raised."""
        with self._lock:
            before = self._raised.get(watcher, {})
            if before.keys() == now.keys():
                return
            self._raised[watcher] = {about: before.get(about, text) for about, text in now.items()}
        for about in now.keys() - before.keys():
            self._stats.add(alarms_raised=1)
            logger.error("pipeline %s: alarm: %s (%s)", self._pipeline, now[about], ALARMS_PAGE, extra={"alarm": about})
        for about in before.keys() - now.keys():
            logger.warning("pipeline %s: alarm is over: %s", self._pipeline, before[about], extra={"alarm": about})

    def texts(self) -> list[str]:
        with self._lock:
            return sorted(text for raised in self._raised.values() for text in raised.values())
