"""Operator commands to a running worker: queued by any thread, executed by the pipeline's thread."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Literal, NamedTuple, NotRequired, TypedDict

from labelstream.workers.errors import CommandRefused

logger = logging.getLogger(__name__)


class CommandAnswer(NamedTuple):
    """`absent`: the command is for another worker. `text`: one line for the operator."""

    status: Literal["done", "refused", "absent"]
    text: str


class Command(TypedDict):
    """`skip` needs all keys: the halted partition resumes at `offset`."""

    name: Literal["resume", "skip"]
    topic: NotRequired[str]
    partition: NotRequired[int]
    offset: NotRequired[int]


TOO_LATE = CommandAnswer("refused", "the worker did not execute the command in time; nothing was changed")
STOPPED = CommandAnswer("absent", "the worker has stopped")


class Commands:
    """Queue of commands. Call `obey` from one thread, other methods from any. A command that raises stays queued."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: list[tuple[Command, float, Future[CommandAnswer]]] = []
        self._closed = False

    def take(self, command: Command, timeout_s: float) -> "Future[CommandAnswer]":
        """Queue a command; it is refused after `timeout_s`. Never blocks."""
        answer: Future[CommandAnswer] = Future()
        with self._lock:
            if not self._closed:
                self._waiting.append((command, self._clock() + timeout_s, answer))
                return answer
        answer.set_result(STOPPED)
        return answer

    def obey(self, execute: Callable[[Command], str | None]) -> None:
        """Execute queued commands. `execute` returns what was done, or None to retry; it may raise `CommandRefused`."""
        for entry in list(self._waiting):
            command, until, answer = entry
            reply = self._try(command, execute) if self._clock() < until else TOO_LATE
            if reply is not None:
                with self._lock:
                    self._waiting.remove(entry)
                answer.set_result(reply)

    def close(self) -> None:
        """Refuse queued and later commands: the worker ends."""
        with self._lock:
            self._closed = True
            waiting, self._waiting = self._waiting, []
        for _, _, answer in waiting:
            answer.set_result(STOPPED)

    def _try(self, command: Command, execute: Callable[[Command], str | None]) -> CommandAnswer | None:
        try:
            done = execute(command)
        except CommandRefused as refusal:
            return CommandAnswer("refused" if refusal.ours else "absent", str(refusal))
        if done is None:
            return None
        logger.warning("operator command %s: %s", command["name"], done)
        return CommandAnswer("done", done)
