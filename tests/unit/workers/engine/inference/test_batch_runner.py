"""Batches with and without padding, and the count of tokens and slots."""

from typing import Any

import numpy as np
import torch

from labelstream.workers.engine.inference.batch_layout import UnpaddedBatch
from labelstream.workers.engine.inference.batch_runner import BatchRunner, Rows
from tests.support.fake_backend import FakeBackend, pack


class Unpadded(FakeBackend):
    packs = True

    def packed_logits(self, batch: UnpaddedBatch) -> torch.Tensor:
        return torch.from_numpy(batch.lengths)[:, None].float()

    def record(self, max_tokens: int) -> int:
        return 0


SEQUENCES = pack([[5, 6, 7], [8], [9, 10]])


def test_rows_have_the_start_of_each_sequence() -> None:
    rows = Rows(SEQUENCES)
    assert rows.starts.tolist() == [0, 3, 4]
    assert rows.any_in(SEQUENCES.ids == 10).tolist() == [False, False, True]


def test_padding_counts_as_slots() -> None:
    runner = BatchRunner(FakeBackend())
    assert runner.logits(Rows(SEQUENCES), np.array([0, 2]))[:, 0].tolist() == [5, 9]
    assert (runner.tokens, runner.slots) == (5, 6)
    assert runner.slots_of(SEQUENCES.lengths) == 9
    assert sorted(np.concatenate(runner.plan(SEQUENCES.lengths, 64)).tolist()) == [0, 1, 2]


def test_without_padding_slots_are_tokens_until_it_is_off() -> None:
    backend: Any = Unpadded()
    runner = BatchRunner(backend)
    assert runner.logits(Rows(SEQUENCES), np.array([0, 1]))[:, 0].tolist() == [3, 1]
    assert (runner.tokens, runner.slots, runner.slots_of(SEQUENCES.lengths)) == (4, 4, 6)
    assert [batch.tolist() for batch in runner.plan(SEQUENCES.lengths, 64)] == [[0, 1, 2]]
    runner.packing = None
    assert runner.logits(Rows(SEQUENCES), np.array([1]))[:, 0].tolist() == [8]


def test_without_pads_only_equal_lengths_share_a_batch() -> None:
    runner = BatchRunner(FakeBackend())
    runner.pads = False
    lengths = np.array([3, 1, 3, 2, 1, 3], np.int32)
    assert [batch.tolist() for batch in runner.plan(lengths, 64)] == [[0, 2, 5], [3], [1, 4]]
    assert [batch.tolist() for batch in runner.plan(lengths, 6)] == [[0, 2], [5], [3], [1, 4]]
