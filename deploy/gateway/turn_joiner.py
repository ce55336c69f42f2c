"""Joins the requests that arrive in one turn of the event loop into one submit: a Serve call costs as much for one
text as for a hundred.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextvars import Context
from typing import NamedTuple

from labelstream.workers.classifier import Answer, Request

MAX_JOINED_TEXTS = 1_024
INLINE_CHARS = 20_000  # about 2 ms of tokenizing; more goes to a thread, so that other requests go on
Submit = Callable[[Sequence[Request]], "Future[list[Answer]]"]


class _Waiting(NamedTuple):
    requests: Sequence[Request]
    future: "asyncio.Future[list[Answer]]"


class TurnJoiner:
    """`submit`: `Classifier.submit` of one model. Belongs to one event loop."""

    def __init__(self, submit: Submit) -> None:
        self._submit = submit
        self._waiting: list[_Waiting] = []
        self._calls: set[asyncio.Task[None]] = set()

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """The answers in order. Raises what the submit's future raises.

        Cancelling cancels the joined call, unless the call has other requests.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(requests, loop.create_future())
        self._waiting.append(waiting)
        if len(self._waiting) == 1:
            # In a context of its own: in that of the first request, Serve would cancel the call of all requests when
            # the client of the first one is gone.
            loop.call_soon(self._flush, context=Context())
        return await waiting.future

    def _flush(self) -> None:
        group: list[_Waiting] = []
        texts = 0
        for waiting in self._waiting:
            if group and texts + len(waiting.requests) > MAX_JOINED_TEXTS:
                self._begin(group)
                group, texts = [], 0
            group.append(waiting)
            texts += len(waiting.requests)
        self._waiting = []
        self._begin(group)

    def _begin(self, group: list[_Waiting]) -> None:
        call = asyncio.get_running_loop().create_task(self._ask(group))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        for waiting in group:
            waiting.future.add_done_callback(lambda _: _cancel_without_askers(call, group))

    async def _ask(self, group: list[_Waiting]) -> None:
        requests = [request for waiting in group for request in waiting.requests]
        try:
            answers = await asyncio.wrap_future(await self._submitted(requests))
        except Exception as error:
            for waiting in group:
                if not waiting.future.done():
                    waiting.future.set_exception(error)
            return
        start = 0
        for waiting in group:
            end = start + len(waiting.requests)
            if not waiting.future.done():
                waiting.future.set_result(answers[start:end])
            start = end

    async def _submitted(self, requests: list[Request]) -> "Future[list[Answer]]":
        if sum(len(request.text) for request in requests) <= INLINE_CHARS:
            return self._submit(requests)
        return await asyncio.to_thread(self._submit, requests)


def _cancel_without_askers(call: "asyncio.Task[None]", group: list[_Waiting]) -> None:
    if all(waiting.future.cancelled() for waiting in group):
        call.cancel()
