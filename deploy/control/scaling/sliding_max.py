"""Maximum of a sliding window."""

from collections import deque


class SlidingMax:
    """Maximum of the values of the last `keep_s`. The front is the maximum; behind it stand later candidates,
    descending.
    """

    def __init__(self, keep_s: float) -> None:
        self._keep_s = keep_s
        self._values: deque[tuple[float, int]] = deque()

    def add(self, at: float, value: int) -> int:
        """Add the newest value and return the maximum. A value that is exactly `keep_s` old still counts."""
        while self._values and self._values[-1][1] <= value:
            self._values.pop()
        self._values.append((at, value))
        while self._values[0][0] < at - self._keep_s:
            self._values.popleft()
        return self._values[0][1]
