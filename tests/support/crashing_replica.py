"""Replicas, without Serve, that die at certain texts with all calls that they hold, and soon restart."""

import asyncio
from collections.abc import Callable
from typing import Any

from ray.exceptions import ActorUnavailableError

from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences, concatenate
from tests.support.fake_handle import FakeHandle, by_length

POISON_ID = 6  # id of the word "d"


class Job:
    """`ticket`: only for a call that must run apart."""

    def __init__(self, packed: RaggedSequences, ticket: str | None) -> None:
        self.packed, self.ticket = packed, ticket
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end(self, died: bool) -> None:
        if self.done.done():  # the caller cancelled the call
            return
        if died:
            self.done.set_exception(ActorUnavailableError("Actor is unavailable.", b"x" * 16))
        else:
            self.done.set_result(None)


class MortalReplica:
    """Joins waiting calls like the real batcher, except calls that run apart. `note`: as the control plane's."""

    def __init__(
        self,
        kills: Callable[[RaggedSequences], bool],
        restart_s: float,
        note: Callable[["MortalReplica", str | None], None],
    ) -> None:
        self._kills, self._restart_s, self._note = kills, restart_s, note
        self._jobs: list[Job] = []
        self._answered: list[Job] = []
        self._device: asyncio.Task[None] | None = None
        self._down = False
        self.deaths = 0

    async def run(self, packed: RaggedSequences, ticket: str | None) -> None:
        while self._down:
            await asyncio.sleep(0.01)
        job = Job(packed, ticket)
        self._jobs.append(job)
        if self._device is None:
            self._device = asyncio.create_task(self._run())
        await job.done

    async def _run(self) -> None:
        while self._jobs:
            await asyncio.sleep(0)
            apart = self._jobs[0].ticket is not None
            batch = self._jobs[:1] if apart else [job for job in self._jobs if job.ticket is None]
            self._jobs = [job for job in self._jobs if job not in batch]
            self._note(self, batch[0].ticket)
            if self._kills(concatenate([job.packed for job in batch])):
                await self._die(batch)
            else:
                self._note(self, None)
                # Answers take a while to arrive: those to the previous batch have arrived by now.
                for job in self._answered:
                    job.end(died=False)
                self._answered = batch
        for job in self._answered:
            job.end(died=False)
        self._answered, self._device = [], None

    async def _die(self, batch: list[Job]) -> None:
        self.deaths += 1
        lost = [*self._answered, *batch, *self._jobs]
        self._answered, self._jobs, self._down = [], [], True
        for job in lost:
            job.end(died=True)
        await asyncio.sleep(self._restart_s)
        self._down = False


class MortalHandle(FakeHandle):
    """`kills`: whether a batch kills its replica. `mute`: number of first notes that are lost."""

    def __init__(
        self,
        kills: Callable[[RaggedSequences], bool] = lambda packed: bool((packed.ids == POISON_ID).any()),
        replicas: int = 2,
        restart_s: float = 0.0,
        mute: int = 0,
        score: Callable[..., ScoredSequences] = by_length,
    ) -> None:
        super().__init__()
        self._score, self._mute, self.asked = score, mute, 0
        self._notes: dict[MortalReplica, str | None] = {}
        self.replicas = [MortalReplica(kills, restart_s, self._notes.__setitem__) for _ in range(replicas)]

    @property
    def deaths(self) -> int:
        return sum(replica.deaths for replica in self.replicas)

    async def noted(self, ticket: str) -> float | None:
        found = ticket in self._notes.values()
        self._mute -= found
        return 0.0 if found and self._mute < 0 else None

    def invoke(self, method: str, *args: Any) -> Any:
        return self.describe() if method == "describe" else self._classify(*args)

    async def _classify(
        self, packed: RaggedSequences, top_k: int, revision: str, ticket: str | None = None
    ) -> ScoredSequences:
        self.asked += 1
        await self.replicas[self.asked % len(self.replicas)].run(packed, ticket)
        return self._score(packed, top_k, revision)


def innocent(i: int) -> str:
    """Texts of 1 to 30 words, nearly all different."""
    return " ".join("abc"[(i // 3**k) % 3] for k in range(1 + i % 30))
