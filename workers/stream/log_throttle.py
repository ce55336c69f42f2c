"""Log throttle: lines that would come for each micro-batch or call come at most once in 10 s for each key."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

PERIOD_S = 10.0
Key = TypeVar("Key")
Detail = TypeVar("Detail")
Later = Callable[[float, Callable[[], None]], object]


def _later(delay_s: float, call: Callable[[], None]) -> None:
    timer = threading.Timer(delay_s, call)
    timer.daemon = True
    timer.start()


class LogThrottle(Generic[Key, Detail]):
    """Thread-safe. The first event of a key is logged at once, and those of the next 10 s together after that time.

    `log(key, count, first)` logs a line for `count` events; `first` is the detail of the first of them.
    """

    def __init__(self, log: Callable[[Key, int, Detail], None], later: Later = _later) -> None:
        self._log, self._later = log, later
        self._lock = threading.Lock()
        self._held: dict[Key, tuple[int, Detail] | None] = {}  # None: nothing since the last line

    def add(self, key: Key, count: int, first: Detail) -> None:
        """Report `count` events of `key`."""
        with self._lock:
            if key in self._held:
                held = self._held[key]
                self._held[key] = (count, first) if held is None else (held[0] + count, held[1])
                return
            self._held[key] = None
        self._log(key, count, first)
        self._later(PERIOD_S, lambda: self._period_is_over(key))

    def close(self) -> None:
        """Log what is held back."""
        with self._lock:
            held, self._held = self._held, {}
        for key, events in held.items():
            if events is not None:
                self._log(key, *events)

    def _period_is_over(self, key: Key) -> None:
        with self._lock:
            events = self._held.pop(key, None)
        if events is not None:
            self.add(key, *events)
