"""Calls of one model's Serve deployment, once each: retries are the caller's job."""

import asyncio
from typing import Any

from labelstream.workers import tracing
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences
from labelstream.workers.errors import InferenceError

ALIVE_S = 10.0  # a replica answers this question while it computes


class ServeClient:
    """Client of the deployment of `handle`. Belongs to one event loop.

    `interactive`: the replica runs the calls of `classify` before calls that are not.

    The methods raise what Serve and the replica raise, such as RayActorError if the replica died during the call.
    """

    def __init__(self, name: str, handle: Any, interactive: bool = False) -> None:
        self._name = name
        self._lane = {"interactive": True} if interactive else {}  # replicas of version 0.1.0 do not know the word
        # By reference, through the object store: a tokenizer has up to 17 MB, and gRPC takes 4 MiB.
        self._describe = handle.options(method_name="describe", _by_reference=True)
        direct = {"_by_reference": False, "request_serialization": "pickle", "response_serialization": "pickle"}
        self._classify = handle.options(method_name="classify", **direct)
        self._classify_apart = handle.options(method_name="classify_apart", **direct)

    async def classify(self, packed: RaggedSequences, top_k: int, revision: str) -> ScoredSequences:
        """See `ModelReplica.classify`. Raises ValueError if the number of answers is wrong."""
        return await self._ask(self._classify, packed, top_k, revision, **self._lane)

    async def classify_apart(self, packed: RaggedSequences, top_k: int, revision: str, ticket: str) -> ScoredSequences:
        """See `ModelReplica.classify_apart`."""
        return await self._ask(self._classify_apart, packed, top_k, revision, ticket)

    async def describe(self) -> ModelDescription:
        """The description of the revision that the answering replica serves."""
        return await self._describe.remote()

    async def alive(self) -> bool:
        """Whether any replica answers."""
        try:
            async with asyncio.timeout(ALIVE_S):
                await self.describe()
        except Exception:
            return False
        return True

    async def _ask(self, method: Any, packed: RaggedSequences, *args: Any, **options: Any) -> ScoredSequences:
        trace = tracing.here()
        response = method.remote(packed, *args, **options, **({"trace": trace} if trace else {}))
        try:
            scored: ScoredSequences = await response
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                response.cancel()  # otherwise the replica would compute for nobody
                raise
            raise InferenceError(f"model {self._name}: Serve cancelled the call") from None
        if len(scored.scores) != len(packed.lengths):
            raise ValueError(f"{len(scored.scores)} answers for {len(packed.lengths)} sequences")
        return scored
