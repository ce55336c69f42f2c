"""How long the parts of calls may take, and how large they are, by the speed at which the model answers this process.

The rule. A part that needs T tokens may take `call_timeout_s`, in which any model answers something, and PATIENCE * T /
speed. The latter is no more than `call_timeout_s`, or MOST_WORK_S where that is more: the worker counts as stalled
after `stall_timeout_s`, which is 2.5 times `call_timeout_s` at least. The part's time begins when it is sent, and anew
whenever a part that was sent before it gets an answer: replicas answer in the order of arrival, so that what this
process sent earlier shows that the queue moves, whoever else is in it. An answer to what was sent later shows nothing
of the kind, and what is under way before a part is finite: no part waits for ever. A part that a replica runs by itself
(see `poison_isolation`) has its whole time from when it began to run.

The speed is what this process got: tokens answered per second in which it waited for some. Of one wait HALF_LIFE_S
count at most: a replica may have had to start. The speed is this process' share where replicas have other callers, and
the sum where there are several. It is forgotten by half in `HALF_LIFE_S` of waiting, and altogether by a part that is
late. In the beginning it is assumed to be low.

A part has at most PART_S of work at this speed, so that the answers of what is done come in every few seconds on the
slowest model, and one that is late costs little. It has more than MAX_CALL_TOKENS only where that is still less than
FAST_S of work: larger calls save the fixed cost of a call, which is nothing beside a slow model, and smaller ones
spread better over replicas.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from labelstream.deploy.model_client.call_limits import MAX_CALL_TOKENS, MAX_FAST_CALL_TOKENS

FIRST_TOKENS_PER_S = 500.0  # a large model on a few cores; DistilBERT does 1,600 on two
FIRST_S = 1.0  # so much of waiting does that assumption weigh
HALF_LIFE_S = 10.0
PATIENCE = 4.0  # a replica may be so many times slower for one part than the model is for all
MAX_WORK_S = 60.0  # a replica joins calls of up to 30 s of work
PART_S = 4.0
FAST_S = 0.1


class Part:
    """One part of a call under way. `tokens`: what is asked for of it now. `since`: when its time began.

    `ran`: a replica was running it by itself when it was late.
    """

    def __init__(self, tokens: int, since: float) -> None:
        self.tokens, self.since, self.ran = tokens, since, False
        self.timer: asyncio.TimerHandle | None = None


# For how many seconds a replica has been running a part by itself; None where it is not known to.
Running = Callable[[], Awaitable[float | None]]


class Deadlines:
    """Of one model's parts. Belongs to `loop`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, call_timeout_s: float) -> None:
        self._loop, self._call_timeout_s = loop, call_timeout_s
        self._measure_anew()
        self._answered_at = loop.time()
        self._parts: dict[int, Part] = {}  # in the order of their sending
        self._looks: set[asyncio.Task[None]] = set()

    @property
    def tokens_per_s(self) -> float:
        return self._tokens / self._seconds

    def part_tokens(self) -> int:
        """How many tokens the next part may have."""
        speed = self.tokens_per_s
        return int(max(1, min(MAX_CALL_TOKENS, PART_S * speed), min(MAX_FAST_CALL_TOKENS, FAST_S * speed)))

    def allowed_s(self, tokens: int) -> float:
        """How long a part of so many may take from the beginning of its time."""
        max_s = max(self._call_timeout_s, MAX_WORK_S)
        return self._call_timeout_s + min(max_s, PATIENCE * tokens / self.tokens_per_s)

    @asynccontextmanager
    async def part(self, tokens: int, running: Running) -> AsyncIterator[Part]:
        """Within it, a part of so many tokens is asked for. Raises TimeoutError when it is late."""
        part = Part(tokens, self._loop.time())
        self._parts[id(part)] = part
        try:
            async with asyncio.timeout(None) as timeout:
                self._wait(part, running, timeout)
                yield part
        except TimeoutError:
            if self.tokens_per_s > FIRST_TOKENS_PER_S:
                self._measure_anew()
            raise
        finally:
            del self._parts[id(part)]
            if part.timer is not None:
                part.timer.cancel()

    def answered(self, part: Part, asked_at: float | None) -> None:
        """`part`, asked for at that time of the loop, has its answer, or all that is asked for of it now.

        None: by itself, which takes longer and measures nothing.
        """
        now = self._loop.time()
        if asked_at is not None:
            waited_s = min(HALF_LIFE_S, now - max(asked_at, self._answered_at))
            kept = 0.5 ** (waited_s / HALF_LIFE_S)
            self._tokens, self._seconds = self._tokens * kept + part.tokens, self._seconds * kept + waited_s
        self._answered_at = now
        for other in reversed(self._parts.values()):  # those sent since
            other.since = now
            if other is part:
                break

    def _measure_anew(self) -> None:
        self._tokens, self._seconds = FIRST_TOKENS_PER_S * FIRST_S, FIRST_S

    def _wait(self, part: Part, running: Running, timeout: asyncio.Timeout) -> None:
        due = part.since + self.allowed_s(part.tokens)
        part.timer = self._loop.call_at(due, self._due, part, running, timeout)

    def _due(self, part: Part, running: Running, timeout: asyncio.Timeout) -> None:
        """Is it late, or has its time begun anew?"""
        if part.since + self.allowed_s(part.tokens) > self._loop.time():
            self._wait(part, running, timeout)
            return
        look = self._loop.create_task(self._look(part, running, timeout))
        self._looks.add(look)
        look.add_done_callback(self._looks.discard)

    async def _look(self, part: Part, running: Running, timeout: asyncio.Timeout) -> None:
        ran_s = await running()
        if id(part) not in self._parts:
            return
        now = self._loop.time()
        if ran_s is not None:
            part.since = max(part.since, now - ran_s)
        if part.since + self.allowed_s(part.tokens) > now:
            self._wait(part, running, timeout)
            return
        part.ran = ran_s is not None
        timeout.reschedule(now)
