"""The replica without Serve: what it notes before it runs something that may kill it."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from deploy.joiner import Joiner
from deploy.replica import ModelReplica
from tests.unit.deploy.fakes import by_length, description
from workers.engine.packed import PackedSequences, ScoredSequences
from workers.errors import InferenceError, ModelChanged

PACKED = PackedSequences(np.zeros(3, np.int32), np.array([3], np.int32))


class Predictor:
    """Answers by length. `history`: what it was asked for, and what was noted meanwhile."""

    broken = False

    def __init__(self) -> None:
        self.history: list[Any] = []

    def probe(self) -> None:
        self.history.append("probe")
        if self.broken:
            raise InferenceError("the model fails on any text")

    def begin(self, packed: PackedSequences, top_k: int) -> Callable[[], ScoredSequences]:
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
        made._joiner = Joiner(device, made._predictor.begin, 100, 0.0)
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
