"""The replica without Serve: what it says before it runs something that may kill it."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from deploy import replica as replica_module
from deploy.joiner import Joiner
from deploy.replica import ModelReplica
from tests.unit.deploy.fakes import by_length, description
from workers.engine.packed import PackedSequences, ScoredSequences
from workers.errors import InferenceError, ModelChanged

PARTS = [PackedSequences(np.zeros(n, np.int32), np.array([n], np.int32)) for n in (3, 4)]


class Predictor:
    """Answers by length; keeps what it was asked for in order. `broken`: it fails on any text."""

    broken = False

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def probe(self) -> None:
        self.asked.append("probe")
        if self.broken:
            raise InferenceError("the model fails on any text")

    def predict(self, packed: PackedSequences, top_k: int) -> ScoredSequences:
        self.asked.append(packed.lengths.tolist())
        return by_length(packed, top_k, "")


@pytest.fixture
def replica(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(replica_module, "ANNOUNCE_S", 0.0)
    made: Any = ModelReplica.__new__(ModelReplica)
    with ThreadPoolExecutor(1) as device:
        made._description, made._predictor = description(), Predictor()
        made._joiner = Joiner(device, made._predictor.predict, 100, 0.0)
        yield made


def messages(replica: Any, revision: str = "one") -> list[Any]:
    async def collect() -> list[Any]:
        return [message async for message in replica.classify_apart(PARTS, 1, revision)]

    return asyncio.run(collect())


def test_each_part_is_announced_before_its_answer(replica: Any) -> None:
    one, first, two, second = messages(replica)
    assert one is None
    assert two is None
    assert [first.label_ids.tolist(), second.label_ids.tolist()] == [[[1]], [[0]]]
    assert replica._predictor.asked == ["probe", [3], "probe", [4]]


def test_a_model_that_fails_on_any_text_is_never_given_a_suspect(replica: Any) -> None:
    replica._predictor.broken = True
    with pytest.raises(InferenceError, match="any text"):
        messages(replica)
    assert replica._predictor.asked == ["probe"]


def test_another_revision_runs_nothing(replica: Any) -> None:
    with pytest.raises(ModelChanged):
        messages(replica, "two")
    assert replica._predictor.asked == []
