"""How many bytes may be on their way to the brokers: as many as these take in a moment, and never above a constant.

kafka-python's producer bounds nothing: whatever is handed to it waits in its memory. And what waits there for long
belongs to a transaction that ends too late.
"""

import time
from collections.abc import Callable

from labelstream.workers.settings import PipelineSettings

# A second's results of the fastest stream that was measured (30,000 of 500 bytes each): 16 of kafka-python's requests.
MAX_BYTES = 16 * 1024 * 1024
# Each stream begins with so many, and doubles them with every acknowledgement that comes soon: a slow topic is found
# out with little on its way, and a quick one has all that it takes after eight of them.
FIRST_BYTES = 64 * 1024
MIN_BYTES = 4 * 1024
SLOW_S = 2.0  # an acknowledgement that takes longer makes it less: transactions last for many times as long
SOON_S = 0.5
MAX_CUT = 8
CALM_S = 10.0  # under a quota there are pauses between the pauses


class SendWindow:
    """What is on its way, and how much that may be. Used by one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._limit, self._sent = FIRST_BYTES, 0
        self._cut_at = clock()

    @property
    def limit(self) -> int:
        """In bytes. A single record goes out whatever its size."""
        return self._limit

    def room(self) -> int:
        """Bytes that may be sent now; 0 until half of what may be on its way is free, or pieces would become tiny."""
        return self._limit - self._sent if self._sent <= self._limit // 2 else 0

    def sent(self, size: int) -> None:
        self._sent += size

    def done(self, size: int) -> None:
        """So many bytes are no longer on their way."""
        self._sent -= size

    def took(self, sent_at: float, more_s: float = 0.0) -> None:
        """What was sent at `sent_at` is acknowledged, and the brokers take nothing for `more_s` from now on.

        To be called before `done`. What was sent before the last cut has told its part of that already.
        """
        now = self._clock()
        took_s = now - sent_at + more_s
        if took_s > SLOW_S and sent_at >= self._cut_at:
            self._cut(max(SLOW_S / took_s, 1 / MAX_CUT), now)
        elif took_s < SOON_S and self._sent >= self._limit // 2:  # more would have passed as well
            self._limit = min(MAX_BYTES, 2 * self._limit)

    def overdue(self) -> None:
        """What is on its way takes too long, and will be sent again."""
        self._cut(1 / MAX_CUT, self._clock())

    def _cut(self, share: float, now: float) -> None:
        self._limit, self._cut_at = max(MIN_BYTES, int(self._limit * share)), now


class Throttle:
    """The brokers' quota on what we send, as their answers tell of it. Used by one thread."""

    def __init__(
        self, settings: PipelineSettings, throttled_s: Callable[[], float], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings, self._throttled_s, self._clock = settings, throttled_s, clock
        self._until = float("-inf")

    def left_s(self) -> float:
        """For how long yet nothing more is taken."""
        left_s = self._throttled_s()
        if left_s > 0:
            self._until = max(self._until, self._clock() + left_s)
        return left_s

    def told(self) -> dict[str, str]:
        """The alarm; none when there was no throttling for a while."""
        if self.left_s() <= 0 and self._clock() > self._until + CALM_S:
            return {}
        return {
            "throttle": f"the brokers throttle what goes to {self._settings.output} and the pipeline's other "
            "topics: a quota; the stream is as slow as that; raise the producer_byte_rate (or "
            "request_percentage) of our user or of client id labelstream"
        }
