"""How many replicas suspects may kill in a while."""

import time
from collections import deque
from collections.abc import Callable

from labelstream.workers.errors import InferenceError

# Each poison record costs four replicas while it is suspected, after two that brought it under suspicion. Twelve
# different ones in ten minutes are somebody's mistake or attack, and not chance. Deaths for other reasons, as of a node
# that is lost, are not counted: nothing was noted to be running by itself then.
MAX_DEATHS, WINDOW_S = 48, 600.0


class Paused(InferenceError):
    """Suspects have killed so many replicas that none is run for a while."""


class CrashBudget:
    """Of replicas that ran suspects. `risk` and `died` belong to one thread; the others may be called from any."""

    def __init__(self, model: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._model, self._clock = model, clock
        self._at: deque[float] = deque(maxlen=MAX_DEATHS)
        self._refused = False

    def died(self) -> None:
        """A replica died while it ran suspects by themselves."""
        self._at.append(self._clock())

    def risk(self) -> None:
        """Suspects are about to run. Raises Paused where they may not."""
        self._refused = self._paused_s() > 0
        if self._refused:
            raise Paused(self.trouble())

    def trouble(self) -> str:
        """Why suspects wait, for a person; empty where none does."""
        if not self._refused or not self._paused_s():
            return ""
        minutes = f"{WINDOW_S / 60:g} minutes"
        return (
            f"paused: different records killed {MAX_DEATHS} replicas of model {self._model} within {minutes}; "
            f"it goes on {minutes} after the first of these deaths"
        )

    def resume(self) -> bool:
        """An operator's word: count anew. Was there a pause?"""
        paused = bool(self.trouble())
        self._at.clear()
        return paused

    def _paused_s(self) -> float:
        at = tuple(self._at)
        return max(0.0, at[0] + WINDOW_S - self._clock()) if len(at) == MAX_DEATHS else 0.0
