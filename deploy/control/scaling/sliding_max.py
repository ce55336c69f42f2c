"""The highest of the last seconds."""

from collections import deque


class SlidingMax:
    """Of what was added within the last `keep_s`. In front it is, behind it only what may come after."""

    def __init__(self, keep_s: float) -> None:
        self._keep_s = keep_s
        self._values: deque[tuple[float, int]] = deque()

    def add(self, at: float, value: int) -> int:
        """The highest with this one, the newest. A value that is `keep_s` old counts, an older one does not."""
        while self._values and self._values[-1][1] <= value:
            self._values.pop()
        self._values.append((at, value))
        while self._values[0][0] < at - self._keep_s:
            self._values.popleft()
        return self._values[0][1]
