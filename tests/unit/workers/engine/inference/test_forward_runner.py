"""Batches with and without padding, and the count of tokens and slots."""

from typing import Any

import numpy as np

from labelstream.workers.engine.inference.forward_plan import plan, plan_packed
from labelstream.workers.engine.inference.forward_runner import LENGTHS_APART, ForwardRunner
from labelstream.workers.engine.inference.predict_call import Rows
from tests.support.fake_backend import FakeBackend, Unpadded, pack

SEQUENCES = pack([[5, 6, 7], [8], [9, 10]])


def test_padding_counts_as_slots() -> None:
    runner = ForwardRunner(FakeBackend(), 64)
    assert runner.logits(Rows(SEQUENCES), np.array([0, 2]))[:, 0].tolist() == [5, 9]
    assert (runner.tokens, runner.slots) == (5, 6)
    assert runner.slots_of(SEQUENCES.lengths) == 9
    assert sorted(np.concatenate(plan(SEQUENCES.lengths, 64, *runner.padding_costs)).tolist()) == [0, 1, 2]


def test_without_padding_slots_are_tokens_until_it_is_off() -> None:
    backend: Any = Unpadded()
    runner = ForwardRunner(backend, 64)
    assert runner.logits(Rows(SEQUENCES), np.array([0, 1]))[:, 0].tolist() == [3, 1]
    assert (runner.tokens, runner.slots, runner.slots_of(SEQUENCES.lengths)) == (4, 4, 6)
    assert [batch.tolist() for batch in plan_packed(SEQUENCES.lengths, 64)] == [[0, 1, 2]]
    runner.packing = None
    assert runner.logits(Rows(SEQUENCES), np.array([1]))[:, 0].tolist() == [8]


def test_without_overhead_only_equal_lengths_share_a_batch() -> None:
    lengths = np.array([3, 1, 3, 2, 1, 3], np.int32)
    assert [batch.tolist() for batch in plan(lengths, 64, *LENGTHS_APART)] == [[0, 2, 5], [3], [1, 4]]
    assert [batch.tolist() for batch in plan(lengths, 6, *LENGTHS_APART)] == [[0, 2], [5], [3], [1, 4]]
