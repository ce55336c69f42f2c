"""One replica with a slow device, and a handle to it, without Serve.

A batch on the device runs to its end, even if its caller cancels it. A waiting call is dropped with its caller.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences
from tests.support.fake_handle import FakeHandle, by_length, description, forever


class SlowHandle(FakeHandle):
    """`seconds`: the device's time per batch. `ran`: (tokens, ran apart) per batch. `away`: no replica answers."""

    def __init__(
        self, seconds: Callable[[RaggedSequences], float], describe: Callable[[], ModelDescription] = description
    ) -> None:
        super().__init__(describe=describe)
        self._seconds = seconds
        self.ran: list[tuple[int, bool]] = []
        self.away = False
        self.running: tuple[str, float] | None = None
        self._device: asyncio.Task[None] | None = None
        self._jobs: list[tuple[RaggedSequences, str, asyncio.Future[None]]] = []

    async def noted(self, ticket: str) -> float | None:
        if self.running is None or self.running[0] != ticket:
            return None
        return asyncio.get_running_loop().time() - self.running[1]

    def invoke(self, method: str, *args: Any) -> Any:
        if self.away:
            return forever()
        return self.describe() if method == "describe" else self._classify(*args)

    async def _classify(self, packed: RaggedSequences, top_k: int, revision: str, ticket: str = "") -> ScoredSequences:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._jobs.append((packed, ticket, done))
        if self._device is None or self._device.done():
            self._device = asyncio.create_task(self._run())
        await done
        return by_length(packed, top_k, revision)

    async def _run(self) -> None:
        while self._jobs:
            packed, ticket, done = self._jobs.pop(0)
            if done.cancelled():
                continue
            self.running = ticket, asyncio.get_running_loop().time()
            await asyncio.sleep(self._seconds(packed))
            self.running = None
            self.ran.append((len(packed.ids), bool(ticket)))
            if not done.done():
                done.set_result(None)
