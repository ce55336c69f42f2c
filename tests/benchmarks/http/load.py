"""The load: a closed loop of connections, or requests at random times."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import NamedTuple

import aiohttp  # a request takes 0.15 ms of CPU, with httpx2 0.93 ms, and the servers need the same cores


class Loaded(NamedTuple):
    """`cpu_s`: of this process, the load generator."""

    latencies_ms: list[float]
    seconds: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        return len(self.latencies_ms) / self.seconds


def closed_loop(url: str, bodies: Sequence[bytes], connections: int, seconds: float) -> Loaded:
    """Each connection sends the next request when it has its answer. Raises on any status but 200."""

    async def run() -> list[float]:
        latencies: list[float] = []
        until, some = time.perf_counter() + seconds, cycle(bodies)
        async with _session() as session:

            async def one_connection() -> None:
                while time.perf_counter() < until:
                    latencies.append(await _ask(session, url, next(some)))

            await asyncio.gather(*(one_connection() for _ in range(connections)))
        return latencies

    return _timed(run)


def random_arrivals(url: str, bodies: Sequence[bytes], per_s: float, goes_on: Callable[[], bool]) -> Loaded:
    """Requests at random times (Poisson), `per_s` on average, which wait for no answer, while `goes_on`."""

    async def run() -> list[float]:
        rng, some = random.Random(5), cycle(bodies)
        async with _session() as session, asyncio.TaskGroup() as group:
            tasks = []
            while goes_on():
                await asyncio.sleep(rng.expovariate(per_s))
                tasks.append(group.create_task(_ask(session, url, next(some))))
            return await asyncio.gather(*tasks)

    return _timed(run)


def answer(url: str, body: bytes) -> list[object]:
    """The list that the server answers with."""

    async def run() -> list[object]:
        async with _session() as session, session.post(url, data=body) as response:
            response.raise_for_status()
            return await response.json()

    return asyncio.run(run())


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        headers={"content-type": "application/json"},
        timeout=aiohttp.ClientTimeout(total=300),
        raise_for_status=True,
    )


async def _ask(session: aiohttp.ClientSession, url: str, body: bytes) -> float:
    """Milliseconds."""
    started = time.perf_counter()
    async with session.post(url, data=body) as response:
        await response.read()
    return (time.perf_counter() - started) * 1000


def _timed(run: Callable[[], object]) -> Loaded:
    started, cpu = time.perf_counter(), time.process_time()
    latencies = asyncio.run(run())  # type: ignore[arg-type]
    return Loaded(latencies, time.perf_counter() - started, time.process_time() - cpu)
