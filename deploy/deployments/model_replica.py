"""One model on one device as a Serve replica.

The module imports torch only after the replica has set the number of threads.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

from labelstream.deploy.cluster import network
from labelstream.deploy.control.reporter import Notes, Reporter, replica_id
from labelstream.deploy.control.reports import BatcherCounts, ModelReport
from labelstream.deploy.deployments.gpus import check_reserved
from labelstream.deploy.deployments.usable_cores import usable_cores
from labelstream.deploy.observability import telemetry
from labelstream.deploy.observability.metrics.samples import of_model
from labelstream.workers import tracing
from labelstream.workers.engine.batching.dynamic_batcher import DynamicBatcher, full_tokens_for
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.device_thread import DeviceThread
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences
from labelstream.workers.errors import FailedApart, InferenceError, ModelChanged
from labelstream.workers.settings.model import ModelSettings
from labelstream.workers.settings.telemetry import Telemetry

if TYPE_CHECKING:
    from labelstream.workers.engine.inference.predictor import Predictor

# How long a Python thread keeps the GIL while another thread waits for it. The default of 5 ms is longer than a forward
# on a GPU. With 0.5 ms a replica on an H200 did 3.6% more texts/s, beside 2 ms of other Python a call.
GPU_SWITCH_S = 0.0005
MAX_FAILURES_IN_ROW = 3
# Calls are joined up to this much work, so that each caller is answered in time. A CPU with 100 tokens a second would
# take five minutes for the largest batch.
JOINED_S = 30.0
STUCK_S = 600.0


class ModelReplica:
    """`spec`: a `ModelSettings` as a dict. `shown`: a `Telemetry` as a dict. Raises ModelError if the model cannot be
    served.
    """

    def __init__(self, spec: dict[str, Any], shown: dict[str, Any]) -> None:
        network.set_up_replica()
        telemetry.set_up(Telemetry(**shown))
        settings = ModelSettings(**spec)
        threads = settings.threads or usable_cores()
        # OpenMP reads these variables when torch is imported. Ray has set the first one to num_cpus (1 below 2).
        os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)
        # OpenMP's threads spin while they wait for each other. Beside workers on the same cores spinning takes up to 30
        # times the CPU and 10 times the time. No cost of sleeping was measurable.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        os.environ.setdefault(
            "THP_MEM_ALLOC_ENABLE", "1"
        )  # read by torch: huge pages for large tensors, 5% faster on a CPU
        # One thread for all work on the device, loading included: OpenMP keeps a pool for each calling thread.
        device = DeviceThread("device")
        self._description, self._predictor, measured = device.submit(self._load, settings, threads).result()
        if self._predictor.overlaps:
            sys.setswitchinterval(GPU_SWITCH_S)
        full_tokens = min(full_tokens_for(self._predictor.max_batch_tokens), max(1, int(measured * JOINED_S)))
        self._batcher = DynamicBatcher(
            device,
            self._predictor.begin,
            full_tokens,
            settings.max_delay_ms / 1000,
            overlaps=self._predictor.overlaps,
            span=tracing.forward,
        )
        self._full_tokens, self._measured = full_tokens, round(measured, 1)
        self._stuck_s = max(STUCK_S, 2 * settings.call_timeout_s)
        self._reporter = Reporter("models", self.stats, lambda name, stats: of_model(name, stats, replica_id()))
        self._notes = Notes()

    @staticmethod
    def _load(settings: ModelSettings, threads: int) -> tuple[ModelDescription, "Predictor", float]:
        import torch

        torch.set_num_threads(threads)
        check_reserved(settings.source)
        from labelstream.workers.engine.inference.predictor import Predictor
        from labelstream.workers.engine.inference.warmup import measure, warm_up
        from labelstream.workers.engine.loading.loader import load

        description, backend = load(settings.source, settings)
        predictor = Predictor(description, backend, settings.max_batch_tokens)
        warm_up(predictor)
        return description, predictor, measure(predictor)

    def describe(self) -> ModelDescription:
        """What a caller needs to prepare its input; several MB for a large vocabulary."""
        return self._description

    async def classify(
        self,
        packed: RaggedSequences,
        top_k: int,
        revision: str,
        trace: str | None = None,
        interactive: bool = False,
    ) -> ScoredSequences:
        """The `top_k` best labels of each sequence (all if there are fewer), in order of the sequences.

        `trace`: from `labelstream.workers.tracing.here`. `interactive`: see `DynamicBatcher.submit`.

        Raises ModelChanged if `revision` is not served here, and InferenceError if the model fails as a whole.
        """
        self._check_revision(revision)
        if not len(packed.lengths):
            raise InferenceError("BUG: a call without sequences")
        return await asyncio.wrap_future(self._batcher.submit(packed, top_k, trace, interactive))

    async def classify_apart(
        self, packed: RaggedSequences, top_k: int, revision: str, ticket: str, trace: str | None = None
    ) -> ScoredSequences:
        """As `classify`, for suspects: runs the sequences as a batch of their own.

        The control plane notes `ticket` before the batch runs and until it is done, in case this process dies or is
        late. Raises FailedApart instead of InferenceError if the model answered a good text right before.
        """
        self._check_revision(revision)
        noted = threading.Event()
        try:
            return await asyncio.wrap_future(
                self._batcher.submit_apart(packed, top_k, self._noted(ticket, noted), trace)
            )
        except InferenceError as error:
            if noted.is_set():
                raise FailedApart(str(error)) from None
            raise

    @contextmanager
    def _noted(self, ticket: str, noted: threading.Event) -> Iterator[None]:
        self._predictor.probe()  # a model that dies of any text must die before the ticket is noted
        self._notes.put(ticket)
        noted.set()
        try:
            yield
        finally:
            with suppress(InferenceError):  # each ticket is asked for once, and the next note replaces this one
                self._notes.put(None)

    def _check_revision(self, revision: str) -> None:
        if revision != self._description.revision:
            raise ModelChanged(f"revision {revision} was asked for; this replica serves {self._description.revision}")

    def stats(self) -> ModelReport:
        """Counts and sizes since the start, as plain data."""
        return {
            "source": self._description.source,
            "revision": self._description.revision,
            "max_batch_tokens": self._predictor.max_batch_tokens,
            "full_tokens": self._full_tokens,
            "measured_tokens_per_s": self._measured,
            **cast("BatcherCounts", self._batcher.counts()),
            # With the work of the warm-up and of repeated batches.
            "run_tokens": self._predictor.tokens,
            "run_slots": self._predictor.slots,
            "memory_bytes": self._predictor.memory(),
        }

    async def check_health(self) -> None:
        """Hook of Serve. Raises if one batch runs for too long, or if several batches in a row failed as a whole."""
        if self._batcher.busy_for_s() > self._stuck_s:
            raise InferenceError(f"one batch has been running for more than {self._stuck_s:.0f} s")
        if self._batcher.failed_in_row >= MAX_FAILURES_IN_ROW:
            raise InferenceError(f"{self._batcher.failed_in_row} batches in a row have failed as a whole")
