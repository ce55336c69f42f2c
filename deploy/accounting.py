"""Accounts for messages: each one that was sent must return once, as a result or a dead letter. No Kafka."""

from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition
from typing import NamedTuple

LATENCY_SAMPLES = 2_000


class Totals(NamedTuple):
    """`missing`: acknowledged by the broker and not returned. `duplicates`: returned more than once."""

    sent: int
    results: int
    dead_letters: Counter[str]
    duplicates: int
    missing: int
    unexpected: int
    p50_ms: float | None

    @property
    def accounted(self) -> int:
        """Messages that returned, each counted once."""
        return self.sent - self.missing


class _Offsets:
    """A set of offsets of one partition: all below `low`, and `above`. Small if offsets come nearly in order."""

    def __init__(self) -> None:
        self.low = 0
        self.above: set[int] = set()

    def add(self, offset: int) -> bool:
        """False if the set had the offset already."""
        if offset < self.low or offset in self.above:
            return False
        self.above.add(offset)
        while self.low in self.above:
            self.above.remove(self.low)
            self.low += 1
        return True

    def __len__(self) -> int:
        return self.low + len(self.above)

    def without(self, other: "_Offsets") -> int:
        """Number of offsets in this set that are not in `other`."""
        between = range(other.low, self.low) if other.low < self.low else ()
        return sum(offset not in other.above for offset in between) + sum(
            offset >= other.low and offset not in other.above for offset in self.above
        )


class Accounting:
    """Thread-safe. A message is identified by partition and offset, or by 0 and its number; both start at 0."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._claimed = 0
        self._sent: dict[int, _Offsets] = {}
        self._answered: dict[int, _Offsets] = {}
        self._answers = 0
        self._results = 0
        self._dead_letters: Counter[str] = Counter()
        self._duplicates = 0
        self._latencies_ms: deque[float] = deque(maxlen=LATENCY_SAMPLES)
        self._error: BaseException | None = None

    def claim(self, window: int, max_messages: int, timeout_s: float) -> int:
        """Permission to send up to `max_messages` more, so that at most `window` messages are in flight.

        Waits up to `timeout_s` for room; returns 0 if there is none.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._claimed - self._answers < window, timeout_s)
            count = max(0, min(max_messages, window - (self._claimed - self._answers)))
            self._claimed += count
            return count

    def sent(self, partition: int, offset: int) -> None:
        """The broker acknowledged a message."""
        with self._changed:
            self._sent.setdefault(partition, _Offsets()).add(offset)

    def result(self, partition: int, offset: int, latency_ms: float) -> bool:
        """A result for the message at this offset was read; False for a duplicate."""
        with self._changed:
            fresh = self._answer(partition, offset)
            if fresh:
                self._results += 1
                self._latencies_ms.append(latency_ms)
            return fresh

    def dead_letter(self, partition: int, offset: int, reason: str) -> bool:
        """A dead letter for the message at this offset was read; False for a duplicate."""
        with self._changed:
            fresh = self._answer(partition, offset)
            if fresh:
                self._dead_letters[reason] += 1
            return fresh

    @contextmanager
    def many_at_once(self) -> Iterator[None]:
        """Wakes waiting threads once, after everything in the context is entered."""
        with self._changed:
            yield

    def wait_for(self, count: int, stall_s: float) -> bool:
        """Wait until `count` messages have returned. False if none returned for `stall_s`."""
        with self._changed:
            while (seen := self._answers) < count:
                if not self._changed.wait_for(lambda seen=seen: self._answers > seen, stall_s):
                    return False
            return True

    def fail(self, error: BaseException) -> None:
        """Sending or reading ended with `error`; the first error is kept."""
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

    def raise_failure(self) -> None:
        """Raise the error that `fail` got, if any."""
        if self._error is not None:
            raise self._error

    def totals(self) -> Totals:
        with self._changed:
            nothing = _Offsets()
            latencies = sorted(self._latencies_ms)
            return Totals(
                sent=sum(len(offsets) for offsets in self._sent.values()),
                results=self._results,
                dead_letters=Counter(self._dead_letters),
                duplicates=self._duplicates,
                missing=sum(
                    offsets.without(self._answered.get(number, nothing)) for number, offsets in self._sent.items()
                ),
                unexpected=sum(
                    offsets.without(self._sent.get(number, nothing)) for number, offsets in self._answered.items()
                ),
                p50_ms=latencies[len(latencies) // 2] if latencies else None,
            )

    def _answer(self, partition: int, offset: int) -> bool:
        if not self._answered.setdefault(partition, _Offsets()).add(offset):
            self._duplicates += 1
            return False
        self._answers += 1
        self._changed.notify_all()
        return True
