"""The replica without Serve: what it notes before it runs something that may kill it."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

from labelstream.deploy.deployments import model_replica as replica_module
from labelstream.deploy.deployments.model_replica import ModelReplica
from labelstream.workers.engine.batching.dynamic_batcher import DynamicBatcher
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences
from labelstream.workers.errors import InferenceError, ModelChanged
from tests.support.fake_handle import by_length, description

PACKED = RaggedSequences(np.zeros(3, np.int32), np.array([3], np.int32))


class Predictor:
    """Answers by length. `history`: what it was asked for, and what was noted meanwhile."""

    broken = False

    def __init__(self) -> None:
        self.history: list[Any] = []

    def probe(self) -> None:
        self.history.append("probe")
        if self.broken:
            raise InferenceError("the model fails on any text")

    def begin(self, packed: RaggedSequences, top_k: int, after_forward: object) -> Callable[[], ScoredSequences]:
        self.history.append(packed.lengths.tolist())
        return lambda: by_length(packed, top_k, "")

    def put(self, ticket: str | None) -> None:
        self.history.append(ticket)


@pytest.fixture
def replica() -> Iterator[Any]:
    made: Any = ModelReplica.__new__(ModelReplica)
    with ThreadPoolExecutor(1) as device:
        made._description, made._predictor = description(), Predictor()
        made._notes = made._predictor
        made._batcher = DynamicBatcher(device, made._predictor.begin, 100, 0.0)
        yield made


def test_a_suspect_is_noted_while_it_runs_and_no_longer(replica: Any) -> None:
    scored = asyncio.run(replica.classify_apart(PACKED, 1, "one", "ticket"))
    assert scored.label_ids.tolist() == [[1]]
    assert replica._predictor.history == ["probe", "ticket", [3], None]


def test_a_model_that_fails_on_any_text_is_given_no_suspect(replica: Any) -> None:
    replica._predictor.broken = True
    with pytest.raises(InferenceError, match="any text"):
        asyncio.run(replica.classify_apart(PACKED, 1, "one", "ticket"))
    assert replica._predictor.history == ["probe"]


def test_another_revision_runs_nothing(replica: Any) -> None:
    with pytest.raises(ModelChanged):
        asyncio.run(replica.classify_apart(PACKED, 1, "two", "ticket"))
    assert replica._predictor.history == []


class OnGpu:
    """As much of a predictor as a replica's start needs."""

    max_batch_tokens, begin = 16_384, None

    def __init__(self, overlaps: bool) -> None:
        self.overlaps = overlaps


@pytest.mark.parametrize(("gpu", "expected"), [(True, replica_module.GPU_SWITCH_S), (False, 0.005)])
def test_threads_beside_a_gpu_hand_pythons_lock_on_sooner(
    monkeypatch: pytest.MonkeyPatch, gpu: bool, expected: float
) -> None:
    class Loaded(ModelReplica):
        @staticmethod
        def _load(settings: Any, threads: int) -> Any:
            return description(), OnGpu(gpu), 1.0

    for name in ("Reporter", "Notes", "telemetry"):
        monkeypatch.setattr(replica_module, name, MagicMock())
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY", "THP_MEM_ALLOC_ENABLE"):
        monkeypatch.setenv(name, "1")
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.005)
    try:
        Loaded({"source": "m"}, {})
        assert sys.getswitchinterval() == pytest.approx(expected)
    finally:
        sys.setswitchinterval(before)
