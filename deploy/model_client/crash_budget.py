"""Limit of the replicas that suspects may kill in ten minutes."""

import time
from collections import deque
from collections.abc import Callable

from labelstream.workers.errors import InferenceError

# A poison record kills two replicas before it is a suspect, and four more as a suspect. Twelve such records in ten
# minutes are a mistake or an attack. Deaths without a suspect running apart, such as a lost node, are not counted.
MAX_DEATHS, WINDOW_S = 48, 600.0


class Paused(InferenceError):
    """Suspects killed too many replicas; no suspect runs for a while."""


class CrashBudget:
    """Counts replicas that died while they ran suspects. Call `risk` and `died` from one thread, the rest from any."""

    def __init__(self, model: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._model, self._clock = model, clock
        self._at: deque[float] = deque(maxlen=MAX_DEATHS)
        self._refused = False

    def died(self) -> None:
        """A replica died while it ran suspects apart."""
        self._at.append(self._clock())

    def risk(self) -> None:
        """Call before suspects run. Raises Paused if the budget is used up."""
        self._refused = self._paused_s() > 0
        if self._refused:
            raise Paused(self.trouble())

    def trouble(self) -> str:
        """Why suspects wait, as a text for a person; empty if none waits."""
        if not self._refused or not self._paused_s():
            return ""
        minutes = f"{WINDOW_S / 60:g} minutes"
        return (
            f"paused: different records killed {MAX_DEATHS} replicas of model {self._model} within {minutes}; "
            f"resumes {minutes} after the first of these deaths"
        )

    def resume(self) -> bool:
        """Reset the count on an operator's command. True if there was a pause."""
        paused = bool(self.trouble())
        self._at.clear()
        return paused

    def _paused_s(self) -> float:
        at = tuple(self._at)
        return max(0.0, at[0] + WINDOW_S - self._clock()) if len(at) == MAX_DEATHS else 0.0
