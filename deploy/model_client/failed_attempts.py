"""Failed attempts, by the content of the sequences in them. Pure."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from labelstream.workers.classifier import Fault, RecordError

MAX_ALONE = 3
FORGIVEN_S = 600.0  # memory or time may suffice by then; contents that killed replicas are not forgiven
MAX_SUSPECTS = 65_536  # contents in memory, about 300 bytes each; many more than can be in flight
_HOW = {
    Fault.CRASHES_MODEL: "a replica died",
    Fault.TIMED_OUT: "no answer in time",
    Fault.INFERENCE_FAILED: "the model failed",
}


class Suspicion(NamedTuple):
    """What is known against one content.

    - `failures`: failed attempts that included the content.
    - `narrowed`: whether the content or its group ran apart in one of them.
    - `alone`: how each attempt ended in which the content ran alone.
    - `at`: time of the last failure, in seconds of the clock.
    """

    failures: int = 0
    narrowed: bool = False
    alone: tuple[Fault, ...] = ()
    at: float = 0.0

    def refusal(self) -> RecordError | None:
        """Why the content is refused; None if the model may be asked again."""
        if len(self.alone) < MAX_ALONE:
            return None
        counts = ", ".join(f"{_HOW[fault]} ({count})" for fault, count in Counter(self.alone).items())
        return RecordError(self.alone[-1], f"failed alone {len(self.alone)} times: {counts}", self.failures)


class FailedAttempts:
    """Suspicions about at most `max_contents` contents; the least recently used ones are dropped.

    `suspects`: the contents with a failure, and their suspicions.
    """

    def __init__(self, max_contents: int = MAX_SUSPECTS, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_contents, self._clock = max_contents, clock
        self._known: OrderedDict[bytes, Suspicion] = OrderedDict()
        self.suspects: Mapping[bytes, Suspicion] = self._known

    def of(self, content: bytes) -> Suspicion:
        found = self._known.get(content, Suspicion())
        forgiven = found.refusal() is not None and set(found.alone) != {Fault.CRASHES_MODEL}
        if forgiven and self._clock() - found.at > FORGIVEN_S:
            del self._known[content]
            return Suspicion()
        return found

    def failed(self, contents: Sequence[bytes], fault: Fault, running: bool) -> None:
        """An attempt at `contents` failed with `fault`. `running`: a replica ran these contents and nothing else."""
        for content in dict.fromkeys(contents):
            failures, narrowed, alone, _ = self._known.pop(content, Suspicion())
            if running and len(contents) == 1:
                alone = (*alone, fault)
            self._known[content] = Suspicion(failures + 1, narrowed or running, alone, self._clock())
        while len(self._known) > self._max_contents:
            self._known.popitem(last=False)

    def passed(self, contents: Sequence[bytes]) -> None:
        """A replica answered `contents`: they are no longer suspects."""
        for content in contents:
            self._known.pop(content, None)
