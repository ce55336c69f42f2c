"""Exponential backoff between attempts."""


class Backoff:
    """Waits that double from `first_s` to `max_s` seconds."""

    def __init__(self, first_s: float, max_s: float) -> None:
        self._first_s, self._max_s = first_s, max_s
        self._next_s = first_s

    def next_s(self) -> float:
        """Seconds to wait after one more failure."""
        wait_s, self._next_s = self._next_s, min(2 * self._next_s, self._max_s)
        return wait_s

    def reset(self) -> None:
        """Start again at `first_s`, after a success."""
        self._next_s = self._first_s
