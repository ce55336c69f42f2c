"""The scores of several forwards reach the host in one copy, in order."""

import pytest
import torch

from labelstream.workers.engine.backends.pytorch.host_copy import begin_fetch
from labelstream.workers.engine.inference.scoring import Scored


@pytest.mark.parametrize("ranked", [True, False])
def test_fetch_returns_all_rows_after_waiting(ranked: bool) -> None:
    waited: list[int] = []
    ids = torch.tensor([[250_000, 1], [2, 3]], dtype=torch.int32)
    scores = torch.tensor([[0.75, 0.25], [float("nan"), 0.5]])
    finite = torch.tensor([True, False])
    parts = [Scored(ids[i : i + 1] if ranked else None, scores[i : i + 1], finite[i : i + 1]) for i in range(2)]
    fetch = begin_fetch(parts, lambda: lambda: waited.append(1))
    assert waited == []
    found = fetch()
    assert waited == [1]
    assert found.scores[0].tolist() == [0.75, 0.25]
    assert found.finite.tolist() == [True, False]
    assert (None if found.label_ids is None else found.label_ids.tolist()) == (ids.tolist() if ranked else None)
