"""Replicas that die of certain texts, with all calls that they hold, and are there again at once: without Serve."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from ray.exceptions import ActorUnavailableError

from tests.unit.deploy.fakes import FakeHandle, by_length
from workers.engine.packed import PackedSequences, ScoredSequences, concatenate

POISON_ID = 6  # of the word "d"


class Job:
    def __init__(self, packed: PackedSequences, apart: bool) -> None:
        self.packed, self.apart = packed, apart
        self.started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class MortalReplica:
    """Joins what waits, like the real one, but for what is to run apart."""

    def __init__(self, kills: Callable[[PackedSequences], bool], restart_s: float, mute: Callable[[], bool]) -> None:
        self._kills, self._restart_s, self._mute = kills, restart_s, mute
        self.deaths = 0
        self._jobs: list[Job] = []
        self._device: asyncio.Task[None] | None = None
        self._death: asyncio.Future[None] | None = None
        self._down = False

    async def submit(self, packed: PackedSequences, apart: bool) -> tuple[Job, "asyncio.Future[None]"]:
        while self._down:
            await asyncio.sleep(0.01)
        self._death = self._death or asyncio.get_running_loop().create_future()
        self._jobs.append(Job(packed, apart))
        job = self._jobs[-1]
        if self._device is None:
            self._device = asyncio.create_task(self._run())
        return job, self._death

    async def _run(self) -> None:
        while self._jobs:
            await asyncio.sleep(0)
            batch = self._jobs[:1] if self._jobs[0].apart else [job for job in self._jobs if not job.apart]
            self._jobs = [job for job in self._jobs if job not in batch]
            deadly = self._kills(concatenate([job.packed for job in batch]))
            if batch[0].apart and not (deadly and self._mute()):
                batch[0].started.set_result(None)
                await asyncio.sleep(0.001)
            if deadly:
                await self._die()
            else:
                for job in batch:
                    job.passed.set_result(None)
        self._device = None

    async def _die(self) -> None:
        assert self._death is not None
        self.deaths += 1
        self._death.set_result(None)
        self._death, self._jobs, self._down = None, [], True
        await asyncio.sleep(self._restart_s)
        self._down = False


class MortalHandle(FakeHandle):
    """`kills`: which batch a replica dies of; every `mute`-th time it dies before its word is out.

    `score`: what the model makes of a sequence that does not kill it.
    """

    def __init__(
        self, kills: Callable[[PackedSequences], bool] = lambda packed: bool((packed.ids == POISON_ID).any()),
        replicas: int = 2, restart_s: float = 0.0, mute: int = 0, score: Callable[..., ScoredSequences] = by_length,
    ) -> None:  # fmt: skip
        super().__init__()
        self._score, self._asked, self._announced, self._mute_each = score, 0, 0, mute
        self.replicas = [MortalReplica(kills, restart_s, self._mute) for _ in range(replicas)]

    @property
    def deaths(self) -> int:
        return sum(replica.deaths for replica in self.replicas)

    def invoke(self, method: str, *args: Any) -> Any:
        if method == "describe":
            return self.describe()
        self._asked += 1
        replica = self.replicas[self._asked % len(self.replicas)]
        return self._classify(replica, *args) if method == "classify" else self._classify_apart(replica, *args)

    async def _classify(
        self, replica: MortalReplica, packed: PackedSequences, top_k: int, revision: str
    ) -> ScoredSequences:
        job, death = await replica.submit(packed, apart=False)
        await _first(job.passed, death)
        return self._score(packed, top_k, revision)

    async def _classify_apart(
        self, replica: MortalReplica, parts: list[PackedSequences], top_k: int, revision: str
    ) -> AsyncIterator[ScoredSequences | None]:
        for part in parts:
            job, death = await replica.submit(part, apart=True)
            await _first(job.started, death)
            yield None
            await _first(job.passed, death)
            yield self._score(part, top_k, revision)

    def _mute(self) -> bool:
        self._announced += 1
        return self._mute_each > 0 and self._announced % self._mute_each == 0


async def _first(wanted: "asyncio.Future[None]", death: "asyncio.Future[None]") -> None:
    await asyncio.wait((wanted, death), return_when=asyncio.FIRST_COMPLETED)
    if not wanted.done():
        raise ActorUnavailableError("Actor is unavailable.", b"x" * 16)
