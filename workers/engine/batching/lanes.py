"""Cuts the next batch from calls that wait in two lanes: interactive calls go before the stream's, up to a share."""

from collections import deque
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import NamedTuple

from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences

# Share of the tokens that interactive calls get at most while calls of the stream wait: a half, because neither lane
# should take more from the other than the other takes from it.
INTERACTIVE_SHARE = 0.5
IN_USE_S = 10.0


class Call(NamedTuple):
    """The sequences of one worker's call. `arrived`: monotonic seconds.

    `interactive`: somebody waits for the answer, as for an HTTP response. `around`: a context that the device's thread
    enters for the call. `trace`: the caller's `tracing.here()`.
    """

    packed: RaggedSequences
    top_k: int
    arrived: float
    future: "Future[ScoredSequences]"
    interactive: bool = False
    around: AbstractContextManager[None] | None = None
    trace: str | None = None

    @property
    def tokens(self) -> int:
        return len(self.packed.ids)


class _Lane:
    """Calls in the order of arrival, and their tokens."""

    def __init__(self) -> None:
        self.calls: deque[Call] = deque()
        self.tokens = 0

    def add(self, call: Call) -> None:
        self.calls.append(call)
        self.tokens += call.tokens

    def take(self, max_tokens: float) -> list[Call]:
        """The first calls up to `max_tokens`, at least one if any waits. Drops cancelled calls."""
        taken: list[Call] = []
        tokens = 0
        while self.calls and (not taken or tokens + self.calls[0].tokens <= max_tokens):
            call = self.calls.popleft()
            self.tokens -= call.tokens
            if call.future.set_running_or_notify_cancel():
                taken.append(call)
                tokens += call.tokens
        return taken


class Lanes:
    """Chooses the calls of the next batch. Not thread-safe.

    A batch holds calls of one lane: a few interactive calls in a forward of their own are answered before a long batch
    of the stream. While both lanes have work, interactive calls run after as many tokens of the stream that the share
    holds, with an error of one batch: the first calls up to the tokens of the stream's last forward, at least one call.
    """

    def __init__(self) -> None:
        self._stream, self._interactive = _Lane(), _Lane()
        self._ahead = 0.0  # tokens that the stream must run before the next interactive call
        self._forward = 0  # tokens of the stream's last forward
        self._unfinished = 0  # tokens of the stream's last batch that have not run
        self._last_interactive = -IN_USE_S

    def __bool__(self) -> bool:
        return bool(self._stream.calls or self._interactive.calls)

    @property
    def tokens(self) -> int:
        """Tokens of all calls."""
        return self._stream.tokens + self._interactive.tokens

    @property
    def oldest(self) -> float:
        """Arrival of the oldest call, of one at least."""
        return min(lane.calls[0].arrived for lane in (self._stream, self._interactive) if lane.calls)

    def in_use(self, now: float) -> bool:
        """Whether an interactive call waits, or arrived in the last `IN_USE_S`."""
        return bool(self._interactive.calls) or now - self._last_interactive < IN_USE_S

    def add(self, call: Call) -> None:
        if call.interactive:
            self._interactive.add(call)
            self._last_interactive = call.arrived
        else:
            self._stream.add(call)

    def clear(self) -> list[Call]:
        """Remove all calls, and return them."""
        calls = [*self._stream.calls, *self._interactive.calls]
        self._stream, self._interactive = _Lane(), _Lane()
        return calls

    def take(self, max_tokens: int) -> list[Call]:
        """Remove and return the calls of the next batch; at least one, unless every call is cancelled.

        `max_tokens`: of a batch with more than one call.
        """
        self._repay(self._unfinished)  # forwards that failed
        self._unfinished = 0
        if not self._stream.calls:
            self._ahead = 0.0
            return self._interactive.take(max_tokens)
        calls = self._first_interactive() or self._stream.take(max_tokens)
        if calls and not calls[0].interactive:
            self._unfinished = sum(call.tokens for call in calls)
        return calls or self._interactive.take(max_tokens)

    def take_after_forward(self, tokens: int) -> list[Call]:
        """The interactive calls to run now, after a forward with `tokens` of the stream's batch; often none."""
        self._forward = tokens
        self._unfinished = max(0, self._unfinished - tokens)
        self._repay(tokens)
        return self._first_interactive()

    def _repay(self, tokens: int) -> None:
        self._ahead = max(0.0, self._ahead - tokens)

    def _first_interactive(self) -> list[Call]:
        if self._ahead:
            return []
        stream_tokens_per_token = (1 - INTERACTIVE_SHARE) / INTERACTIVE_SHARE
        calls = self._interactive.take(self._forward / stream_tokens_per_token)
        self._ahead = sum(call.tokens for call in calls) * stream_tokens_per_token
        return calls
