"""One model on one device as a Serve replica. It joins the micro-batches of all workers and answers each its own.

Nothing here imports torch before the replica has said how many threads it may use.
"""

import asyncio
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from ray import serve

from deploy.board import Reporter
from deploy.cores import usable_cores
from workers.engine.description import ModelDescription
from workers.engine.packed import PackedSequences, ScoredSequences, concatenate, split_scores
from workers.errors import InferenceError, ModelChanged
from workers.settings import ModelSettings

if TYPE_CHECKING:
    from workers.engine.predictor import Predictor

log = logging.getLogger(__name__)
# Micro-batches are joined to so many full forwards: enough to sort by length across callers. More would only make
# the first caller wait for the last one's texts.
JOINED_FORWARDS = 4
# One runs, the next one is formed and waits for the device: it is never idle between two.
CONCURRENT_BATCHES = 2
MAX_FAILURES_IN_ROW = 3
STUCK_S = 600.0


class Call(NamedTuple):
    """One worker's micro-batch. `size`: its tokens, at most those of a full batch, so that none is refused."""

    packed: PackedSequences
    top_k: int
    size: int


def joined_size(calls: list[Call]) -> int:
    """Serve's `batch_size_fn`. Must never raise: an exception in it leaves the replica hanging, yet healthy."""
    return sum(call.size for call in calls)


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
        # One thread for all that touches the device, loading included: OpenMP keeps a pool per calling thread.
        self._device = ThreadPoolExecutor(1, thread_name_prefix="device")
        self._description, self._predictor = self._device.submit(_load, settings, threads).result()
        self._full = JOINED_FORWARDS * self._predictor.max_batch_tokens
        logging.getLogger("ray.serve").addFilter(_not_about_units)
        joining: Any = self._join  # Serve hangs these on the method
        joining.set_max_batch_size(self._full)
        joining.set_batch_wait_timeout_s(settings.max_delay_ms / 1000)
        self._stuck_s = max(STUCK_S, 2 * settings.call_timeout_s)
        self._busy_since: float | None = None
        self._failures_in_row = 0
        self._counts = {"calls": 0, "batches": 0, "sequences": 0, "tokens": 0, "failed_batches": 0}
        self._busy_s = 0.0
        self._reporter = Reporter("models", self.stats)

    def describe(self) -> ModelDescription:
        """What a caller must know to prepare its input; several MB with a large vocabulary."""
        return self._description

    async def classify(self, packed: PackedSequences, top_k: int, revision: str) -> ScoredSequences:
        """The `top_k` best labels (at most all) of each sequence, in order.

        Raises ModelChanged when `revision` is not the one served here, InferenceError when the model as a whole fails.
        """
        if revision != self._description.revision:
            raise ModelChanged(f"asked for revision {revision}, serving {self._description.revision}")
        if not len(packed.lengths):
            raise InferenceError("a call without sequences")
        answer = await self._join(Call(packed, top_k, min(len(packed.ids), self._full)))
        if isinstance(answer, Exception):  # a value, because an exception would fail every caller of the batch
            raise answer
        return answer

    def stats(self) -> dict[str, Any]:
        """Plain numbers since the start, for people and dashboards."""
        return {
            "source": self._description.source,
            "revision": self._description.revision,
            "max_batch_tokens": self._predictor.max_batch_tokens,
            "busy_s": round(self._busy_s, 3),
            **self._counts,
        }

    async def check_health(self) -> None:
        """Serve's hook: raises when the device hangs, or has failed whole batches again and again."""
        if self._busy_since is not None and time.monotonic() - self._busy_since > self._stuck_s:
            raise InferenceError(f"one batch is running for more than {self._stuck_s:.0f} s")
        if self._failures_in_row >= MAX_FAILURES_IN_ROW:
            raise InferenceError(f"{self._failures_in_row} batches in a row have failed as a whole")

    @serve.batch(max_concurrent_batches=CONCURRENT_BATCHES, batch_size_fn=joined_size)
    async def _join(self, calls: list[Call]) -> list[ScoredSequences | Exception]:
        return await asyncio.get_running_loop().run_in_executor(self._device, self._answer, calls)

    def _answer(self, calls: list[Call]) -> list[ScoredSequences | Exception]:
        """On the device's thread. One answer or error per call; never raises."""
        started = self._busy_since = time.monotonic()
        try:
            answers = self._together(calls)
        finally:
            self._busy_since = None
            self._busy_s += time.monotonic() - started
        failed = all(isinstance(answer, Exception) for answer in answers)
        self._failures_in_row = self._failures_in_row + 1 if failed else 0
        self._count(calls, failed)
        return answers

    def _together(self, calls: list[Call]) -> list[ScoredSequences | Exception]:
        try:
            scored = self._predictor.predict(
                concatenate([call.packed for call in calls]), max(call.top_k for call in calls)
            )
            return list(split_scores(scored, [len(call.packed.lengths) for call in calls], [c.top_k for c in calls]))
        except Exception as error:
            log.warning("a batch of %d calls failed: %s: %s", len(calls), type(error).__name__, error)
            if len(calls) == 1:
                # A plain copy: the original may hold the batch's memory, and classes that the caller cannot load.
                return [InferenceError(f"{error}" if isinstance(error, InferenceError) else f"a bug: {error!r}")]
        return [answer for call in calls for answer in self._together([call])]

    def _count(self, calls: list[Call], failed: bool) -> None:
        counts = self._counts
        counts["calls"] += len(calls)
        counts["batches"] += 1
        counts["sequences"] += sum(len(call.packed.lengths) for call in calls)
        counts["tokens"] += sum(len(call.packed.ids) for call in calls)
        counts["failed_batches"] += failed


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


def _not_about_units(record: logging.LogRecord) -> bool:
    # Serve compares max_batch_size, here in tokens, with max_ongoing_requests, which counts calls.
    return "will never achieve" not in record.getMessage()
