"""One model on one device as a Serve replica.

Nothing here imports torch before the replica has said how many threads it may use.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from deploy.board import Reporter
from deploy.cores import usable_cores
from deploy.joiner import Joiner
from workers.engine.description import ModelDescription
from workers.engine.packed import PackedSequences, ScoredSequences
from workers.errors import InferenceError, ModelChanged
from workers.settings import ModelSettings

if TYPE_CHECKING:
    from workers.engine.predictor import Predictor

# Micro-batches that wait are joined up to so much, to sort by length across callers and to fill every forward. Measured
# on 2 cores, texts/s by how many texts are run together: 128: 190, 512: 255, 1,024: 275, 2,048: 290. More would only
# make the first caller wait for the last one's texts.
JOINED_FORWARDS = 4
JOINED_TOKENS = 32_768
MAX_FAILURES_IN_ROW = 3
# The word that a suspect is about to run must be out, and read, before the process may be gone.
ANNOUNCE_S = 0.1
STUCK_S = 600.0


class ModelReplica:
    """`spec`: a `ModelSettings` as a dict. Raises ModelError when the model cannot be served."""

    def __init__(self, spec: dict[str, Any]) -> None:
        settings = ModelSettings(**spec)
        threads = settings.threads or usable_cores()
        # OpenMP reads these when torch is imported. Ray has set the first to num_cpus (1 below 2).
        os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)
        # Its threads spin while they wait for each other. Beside workers that want the same cores this costs up to
        # 30 times the CPU and 10 times the time; sleeping costs nothing that could be measured.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch's: huge pages for large tensors, 5% on a CPU
        # One thread for all that touches the device, loading included: OpenMP keeps a pool per calling thread.
        device = ThreadPoolExecutor(1, thread_name_prefix="device")
        self._description, self._predictor = device.submit(self._load, settings, threads).result()
        full_tokens = max(JOINED_TOKENS, JOINED_FORWARDS * self._predictor.max_batch_tokens)
        self._joiner = Joiner(device, self._predictor.predict, full_tokens, settings.max_delay_ms / 1000)
        self._stuck_s = max(STUCK_S, 2 * settings.call_timeout_s)
        self._reporter = Reporter("models", self.stats)

    @staticmethod
    def _load(settings: ModelSettings, threads: int) -> tuple[ModelDescription, "Predictor"]:
        import torch

        torch.set_num_threads(threads)
        from workers.engine.loading import load
        from workers.engine.predictor import Predictor

        description, backend = load(
            settings.source,
            settings.revision,
            device=settings.device,
            dtype=settings.dtype,
            max_length=settings.max_length,
            top_k=settings.top_k,
            task=settings.task,
        )
        predictor = Predictor(description, backend, settings.max_batch_tokens)
        predictor.warm_up()
        return description, predictor

    def describe(self) -> ModelDescription:
        """What a caller must know to prepare its input; several MB with a large vocabulary."""
        return self._description

    async def classify(self, packed: PackedSequences, top_k: int, revision: str) -> ScoredSequences:
        """The `top_k` best labels (at most all) of each sequence, in order.

        Raises ModelChanged when `revision` is not the one served here, InferenceError when the model as a whole fails.
        """
        self._check_revision(revision)
        if not len(packed.lengths):
            raise InferenceError("a call without sequences")
        return await asyncio.wrap_future(self._joiner.submit(packed, top_k))

    async def classify_apart(
        self, parts: list[PackedSequences], top_k: int, revision: str
    ) -> AsyncIterator[ScoredSequences | None]:
        """As `classify`, for sequences of which replicas may have died: each part runs as a batch of its own.

        For each part in turn yields None when the device starts on it, and then its answer. A replica that dies of
        whatever it runs does so before that None: a known good row goes first.
        """
        self._check_revision(revision)
        loop = asyncio.get_running_loop()
        for part in parts:
            started = asyncio.Event()

            def announce(started: asyncio.Event = started) -> None:
                self._predictor.probe()
                loop.call_soon_threadsafe(started.set)
                time.sleep(ANNOUNCE_S)

            answer = asyncio.wrap_future(self._joiner.submit_apart(part, top_k, announce))
            answer.add_done_callback(lambda _, started=started: started.set())
            await started.wait()
            yield None
            yield await answer

    def _check_revision(self, revision: str) -> None:
        if revision != self._description.revision:
            raise ModelChanged(f"asked for revision {revision}, serving {self._description.revision}")

    def stats(self) -> dict[str, Any]:
        """Plain numbers since the start, for people and dashboards."""
        return {
            "source": self._description.source,
            "revision": self._description.revision,
            "max_batch_tokens": self._predictor.max_batch_tokens,
            **self._joiner.counts(),
        }

    async def check_health(self) -> None:
        """Serve's hook: raises when the device hangs, or has failed whole batches again and again."""
        if self._joiner.busy_for_s() > self._stuck_s:
            raise InferenceError(f"one batch is running for more than {self._stuck_s:.0f} s")
        if self._joiner.failed_in_row >= MAX_FAILURES_IN_ROW:
            raise InferenceError(f"{self._joiner.failed_in_row} batches in a row have failed as a whole")
