"""What is held against contents that the model did not get through. Pure."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from labelstream.workers.classifier import Fault, RecordError

MAX_ALONE = 3
FORGIVEN_S = 600.0  # a lack of memory or of time may be over by then; replicas that died are not forgiven
MAX_SUSPECTS = 65_536  # contents in memory, about 300 bytes each: many times what can be in flight
_HOW = {
    Fault.CRASHES_MODEL: "a replica died",
    Fault.TIMED_OUT: "no answer in time",
    Fault.INFERENCE_FAILED: "the model failed",
}


class Suspicion(NamedTuple):
    """`failures` of attempts that the content was part of; `narrowed`: it or its group ran by itself in one of them.

    `alone`: how the attempts ended in which it ran alone. `at`: of the last failure, in seconds on the clock.
    """

    failures: int = 0
    narrowed: bool = False
    alone: tuple[Fault, ...] = ()
    at: float = 0.0

    def refusal(self) -> RecordError | None:
        """Why the content is refused; None as long as it is not."""
        if len(self.alone) < MAX_ALONE:
            return None
        counts = ", ".join(f"{_HOW[fault]} ({count})" for fault, count in Counter(self.alone).items())
        return RecordError(self.alone[-1], f"it ran alone {len(self.alone)} times: {counts}", self.failures)


class FailedAttempts:
    """Knows at most `max_contents` contents; those longest untouched are forgotten."""

    def __init__(self, max_contents: int = MAX_SUSPECTS, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_contents, self._clock = max_contents, clock
        self._known: OrderedDict[bytes, Suspicion] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def of(self, content: bytes) -> Suspicion:
        found = self._known.get(content, Suspicion())
        forgiven = found.refusal() is not None and set(found.alone) != {Fault.CRASHES_MODEL}
        if forgiven and self._clock() - found.at > FORGIVEN_S:
            del self._known[content]
            return Suspicion()
        return found

    def failed(self, contents: Sequence[bytes], how: Fault, running: bool) -> None:
        """An attempt at `contents` ended like that; `running`: while a replica ran these and nothing else."""
        for content in dict.fromkeys(contents):
            failures, narrowed, alone, _ = self._known.pop(content, Suspicion())
            if running and len(contents) == 1:
                alone = (*alone, how)
            self._known[content] = Suspicion(failures + 1, narrowed or running, alone, self._clock())
        while len(self._known) > self._max_contents:
            self._known.popitem(last=False)

    def passed(self, contents: Sequence[bytes]) -> None:
        """A replica has answered `contents`."""
        for content in contents:
            self._known.pop(content, None)
