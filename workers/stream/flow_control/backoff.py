"""Waits between attempts at the same thing."""


class Backoff:
    """Seconds that double from `first_s` to `max_s`."""

    def __init__(self, first_s: float, max_s: float) -> None:
        self._first_s, self._max_s = first_s, max_s
        self._next_s = first_s

    def next_s(self) -> float:
        """How long to wait after one more failure."""
        wait_s, self._next_s = self._next_s, min(2 * self._next_s, self._max_s)
        return wait_s

    def reset(self) -> None:
        """An attempt has succeeded."""
        self._next_s = self._first_s
