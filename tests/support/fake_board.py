"""A stand-in for the handle of the control plane."""

from typing import Any


class Board:
    """In place of a handle. `answer`: an exception is raised."""

    def __init__(self, answer: Any) -> None:
        self._answer, self.cancelled = answer, False

    def options(self, method_name: str) -> "Board":
        return self

    def remote(self) -> "Board":
        return self

    def cancel(self) -> None:
        self.cancelled = True

    def result(self, timeout_s: float) -> Any:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer
