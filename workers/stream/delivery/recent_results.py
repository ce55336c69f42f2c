"""The latest results, a few a second, for the page of the HTTP gateway."""

import time
from collections.abc import Callable, Sequence

from labelstream.workers.stream.report import RecentResult

KEPT, EVERY_S = 12, 0.5


class RecentResults:
    """Keeps the last KEPT samples. `with_texts`: whether samples hold the begin of their texts.

    `add` belongs to one thread; `latest` may be read from any.
    """

    def __init__(self, with_texts: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.with_texts, self._clock = with_texts, clock
        self._next_at = 0.0
        self.latest: list[RecentResult] = []  # newest last; replaced and never changed

    def is_due(self) -> bool:
        """Whether EVERY_S have passed since the last sample."""
        return self._clock() >= self._next_at

    def add(self, results: Sequence[RecentResult]) -> None:
        """Keep a sample, which may be empty."""
        self._next_at = self._clock() + EVERY_S
        if results:
            self.latest = [*self.latest, *results][-KEPT:]
