"""Size and deadline of the parts of a call, from the speed at which the model answers this process.

Deadline. A part of T tokens may take `call_timeout_s` plus PATIENCE * T / speed. The second term is at most
`call_timeout_s` or MAX_WORK_S, whichever is larger: `stall_timeout_s`, after which the worker counts as stalled, is at
least 2.5 times `call_timeout_s`. The time starts when the part is sent. The time starts again whenever an earlier part
of this process is answered: replicas answer in order of arrival, so the answer shows that the queue moves. An answer to
a later part does not count. The number of earlier parts is finite, so every part ends. A part that a replica runs apart
(see `poison_isolation`) has its whole time from the moment at which it runs.

Speed. Tokens answered per second of waiting. At most HALF_LIFE_S of one wait count, because a replica may have had to
start. The speed is this process's share if replicas have other callers, and the sum over all replicas. Old samples lose
half their weight in HALF_LIFE_S of waiting; a late part resets the speed to a low first guess.

Size. A part has at most PART_S of work at this speed: answers arrive every few seconds even on the slowest model, and a
late part costs little. A part exceeds MAX_CALL_TOKENS only if it stays below FAST_S of work: larger calls save the
fixed cost of a call, and smaller calls spread better over replicas.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from labelstream.deploy.model_client.call_limits import MAX_CALL_TOKENS, MAX_FAST_CALL_TOKENS
from labelstream.deploy.model_client.call_state import Part

FIRST_TOKENS_PER_S = 500.0  # a large model on a few cores; DistilBERT does 1,600 on two
FIRST_S = 1.0  # weight of the first guess, in seconds of waiting
HALF_LIFE_S = 10.0
PATIENCE = 4.0  # one part may be this many times slower than the average of the model
MAX_WORK_S = 60.0  # a replica joins calls of up to 30 s of work
PART_S = 4.0
FAST_S = 0.1


# Seconds for which a replica has been running the request of a ticket apart; None if no replica is known to run it.
Noted = Callable[[str], Awaitable[float | None]]


class SentPart:
    """One part of a call in flight.

    - `part`: as it was cut from the call. `tries`: how often it was tried.
    - `asked`: what its current request asks for, all or some of `part`; None if nothing is asked for.
    - `ticket`: the note of the current request if a replica runs the request apart; else empty.
    - `since`: when the part's time started, in seconds of the loop.
    - `ran`: whether a replica was running the part apart when it was late.
    """

    def __init__(self, part: Part) -> None:
        self.part, self.tries = part, 0
        self.asked: Part | None = part
        self.ticket = ""
        self.since, self.ran = 0.0, False
        self.timer: asyncio.TimerHandle | None = None

    @property
    def tokens(self) -> int:
        """What the current request asks for."""
        return 0 if self.asked is None else self.asked.tokens


class Deadlines:
    """The deadlines of one model's parts. Belongs to `loop`. `noted`: `ControlPlane.noted`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, call_timeout_s: float, noted: Noted) -> None:
        self._loop, self._call_timeout_s, self._noted = loop, call_timeout_s, noted
        self._measure_anew()
        self._answered_at = loop.time()
        self._parts: dict[int, SentPart] = {}  # in the order of sending
        self._looks: set[asyncio.Task[None]] = set()

    @property
    def tokens_per_s(self) -> float:
        return self._tokens / self._seconds

    def part_tokens(self) -> int:
        """Tokens that the next part may have."""
        speed = self.tokens_per_s
        return int(max(1, min(MAX_CALL_TOKENS, PART_S * speed), min(MAX_FAST_CALL_TOKENS, FAST_S * speed)))

    def allowed_s(self, tokens: int) -> float:
        """Seconds that a part of `tokens` may take, from the start of its time."""
        max_s = max(self._call_timeout_s, MAX_WORK_S)
        return self._call_timeout_s + min(max_s, PATIENCE * tokens / self.tokens_per_s)

    @asynccontextmanager
    async def of(self, part: SentPart) -> AsyncIterator[None]:
        """Context in which `part` is asked for; its time starts now. Raises TimeoutError if the part is late."""
        part.since = self._loop.time()
        self._parts[id(part)] = part
        try:
            async with asyncio.timeout(None) as timeout:
                self._wait(part, timeout)
                yield
        except TimeoutError:
            if self.tokens_per_s > FIRST_TOKENS_PER_S:
                self._measure_anew()
            raise
        finally:
            del self._parts[id(part)]
            if part.timer is not None:
                part.timer.cancel()

    def answered(self, part: SentPart, asked_at: float | None) -> None:
        """`part` has its answer, or all that its current request asks for.

        `asked_at`: time of the request on the loop. None: the part ran apart, which is slower and does not count as a
        measurement.
        """
        now = self._loop.time()
        if asked_at is not None:
            waited_s = min(HALF_LIFE_S, now - max(asked_at, self._answered_at))
            kept = 0.5 ** (waited_s / HALF_LIFE_S)
            self._tokens, self._seconds = self._tokens * kept + part.tokens, self._seconds * kept + waited_s
        self._answered_at = now
        for other in reversed(self._parts.values()):  # parts sent later
            other.since = now
            if other is part:
                break

    def _measure_anew(self) -> None:
        self._tokens, self._seconds = FIRST_TOKENS_PER_S * FIRST_S, FIRST_S

    def _wait(self, part: SentPart, timeout: asyncio.Timeout) -> None:
        due = part.since + self.allowed_s(part.tokens)
        part.timer = self._loop.call_at(due, self._due, part, timeout)

    def _due(self, part: SentPart, timeout: asyncio.Timeout) -> None:
        """Find out whether the part is late or its time has started again."""
        if part.since + self.allowed_s(part.tokens) > self._loop.time():
            self._wait(part, timeout)
            return
        look = self._loop.create_task(self._look(part, timeout))
        self._looks.add(look)
        look.add_done_callback(self._looks.discard)

    async def _look(self, part: SentPart, timeout: asyncio.Timeout) -> None:
        ran_s = await self._noted(part.ticket) if part.ticket else None
        if id(part) not in self._parts:
            return
        now = self._loop.time()
        if ran_s is not None:
            part.since = max(part.since, now - ran_s)
        if part.since + self.allowed_s(part.tokens) > now:
            self._wait(part, timeout)
            return
        part.ran = ran_s is not None
        timeout.reschedule(now)
