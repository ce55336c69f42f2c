"""The textbook deployment: `@serve.batch` around `transformers.pipeline`, one message per call.

Follows Ray Serve's guide "Dynamic Request Batching" and its text examples.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from ray import serve

WAIT_S = 0.01  # serve.batch's default
APP, DEPLOYMENT = "labelstream-textbook", "textbook"
CALLS_PER_BATCH = 4  # open calls per place in a batch, so that the next batch is always full


class ServeBatchReplica:
    """`dtype`: its name in torch. `threads`: set here, because one thread, Ray's default, is slow."""

    def __init__(self, source: str, dtype: str, device: str, threads: int) -> None:
        import torch

        from labelstream.deploy.bench.baselines.transformers_pipeline import CLASSIFICATION, make_pipeline

        torch.set_num_threads(threads)
        self._batch_size = 1
        self._pipeline = make_pipeline(source, CLASSIFICATION, torch.device(device), getattr(torch, dtype))

    @serve.batch(max_batch_size=1, batch_wait_timeout_s=WAIT_S)
    async def _together(self, texts: list[str]) -> list[Any]:
        return self._pipeline(texts, batch_size=self._batch_size, top_k=None, truncation=True)

    async def __call__(self, text: str) -> Any:
        return await self._together(text)

    async def set_batch_size(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._together.set_max_batch_size(batch_size)  # type: ignore[attr-defined]


def textbook_application(source: str, dtype: str, device: str, threads: int) -> serve.Application:
    gpus = 1 if device == "cuda" else 0
    return (
        serve.deployment(ServeBatchReplica)
        .options(  # type: ignore[attr-defined]
            name=DEPLOYMENT,
            max_ongoing_requests=10_000,
            ray_actor_options={"num_cpus": 0, "num_gpus": gpus},
        )
        .bind(source, dtype, device, threads)
    )


class ServeBatch:
    """A client with many open calls. `latencies_ms`: of the calls of the last `answer`."""

    def __init__(self) -> None:
        self._handle = serve.get_deployment_handle(DEPLOYMENT, APP)
        self._batch_size = 1
        self.latencies_ms: list[float] = []

    def set_batch_size(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._handle.set_batch_size.remote(batch_size).result(timeout_s=30)

    def answer(self, texts: Sequence[str], open_calls: int | None = None) -> None:
        """Classify all texts, one per call."""
        asyncio.run(self._answer(texts, open_calls or CALLS_PER_BATCH * self._batch_size))

    async def _answer(self, texts: Sequence[str], open_calls: int) -> None:
        some, self.latencies_ms = asyncio.Semaphore(open_calls), []

        async def ask(text: str) -> None:
            async with some:
                started = time.perf_counter()
                await self._handle.remote(text)
                self.latencies_ms.append((time.perf_counter() - started) * 1000)

        await asyncio.gather(*(ask(text) for text in texts))
