"""Congestion window of the producer: limits the bytes in flight to what the brokers acknowledge quickly.

kafka-python's producer buffers without a limit. Records buffered for long would also delay their transaction.
"""

import time
from collections.abc import Callable

from labelstream.workers.settings.pipeline import PipelineSettings

# One second of the fastest measured pipeline: 30,000 results of 500 bytes, or 16 of kafka-python's requests.
MAX_BYTES = 16 * 1024 * 1024
# Start value; quick acknowledgements double the window. A slow topic is found with few bytes in flight, and a quick
# topic has the full window after eight acknowledgements.
FIRST_BYTES = 64 * 1024
MIN_BYTES = 4 * 1024
SLOW_S = 2.0  # slower acknowledgements shrink the window, because transactions last many times as long
SOON_S = 0.5
MAX_CUT = 8
CALM_S = 10.0  # throttling under a quota is not continuous


class SendWindow:
    """Bytes in flight and their limit. Use from one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._limit, self._sent = FIRST_BYTES, 0
        self._cut_at = clock()

    @property
    def limit(self) -> int:
        """The limit in bytes; a single record may exceed it."""
        return self._limit

    def room(self) -> int:
        """Bytes that may be sent now; 0 until half of the window is free, to avoid tiny batches."""
        return self._limit - self._sent if self._sent <= self._limit // 2 else 0

    def sent(self, size: int) -> None:
        self._sent += size

    def done(self, size: int) -> None:
        """Remove `size` bytes that are no longer in flight."""
        self._sent -= size

    def took(self, sent_at: float, more_s: float = 0.0) -> None:
        """Adjust the window: bytes sent at `sent_at` are acknowledged; the brokers throttle for `more_s` seconds.

        Call before `done`. Ignores slow acknowledgements of bytes sent before the last cut.
        """
        now = self._clock()
        took_s = now - sent_at + more_s
        if took_s > SLOW_S and sent_at >= self._cut_at:
            self._cut(max(SLOW_S / took_s, 1 / MAX_CUT), now)
        elif took_s < SOON_S and self._sent >= self._limit // 2:  # the window was used: a larger one would have passed
            self._limit = min(MAX_BYTES, 2 * self._limit)

    def overdue(self) -> None:
        """Shrink the window: the bytes in flight take too long and will be sent again."""
        self._cut(1 / MAX_CUT, self._clock())

    def _cut(self, share: float, now: float) -> None:
        self._limit, self._cut_at = max(MIN_BYTES, int(self._limit * share)), now


class Throttle:
    """Quota of this client, from the brokers' responses. Use from one thread."""

    def __init__(
        self, settings: PipelineSettings, throttled_s: Callable[[], float], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings, self._throttled_s, self._clock = settings, throttled_s, clock
        self._until = float("-inf")

    def left_s(self) -> float:
        """Seconds until the brokers take records again."""
        left_s = self._throttled_s()
        if left_s > 0:
            self._until = max(self._until, self._clock() + left_s)
        return left_s

    def alarms(self) -> dict[str, str]:
        """The alarm; empty after CALM_S without throttling."""
        if self.left_s() <= 0 and self._clock() > self._until + CALM_S:
            return {}
        return {
            "throttle": f"the brokers throttle writes to {self._settings.output} and the pipeline's other topics "
            "(quota); raise producer_byte_rate or request_percentage of this Kafka user or of client id labelstream"
        }
