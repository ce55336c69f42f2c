"""A backend that fails on purpose, and records its batches."""

from collections.abc import Callable, Iterable

import numpy as np
import torch

from labelstream.workers.classifier import Fault, RecordError
from labelstream.workers.engine.description import Activation, ModelDescription
from labelstream.workers.engine.inference.backend import done_already
from labelstream.workers.engine.inference.forward_layout import PaddedBatch, UnpaddedBatch
from labelstream.workers.engine.ragged import RaggedSequences
from tests.support.models import make_tokenizer

POISON, NAN, VOCAB = 390, 391, 400
DESCRIPTION = ModelDescription(
    "m",
    "r",
    "text-classification",
    tuple("abcde"),
    Activation.NONE,
    64,
    5,
    make_tokenizer("bert").backend_tokenizer.to_str(),
)


class FakeBackend:
    """Logits are [first id, second id or -1, length, 0, 0]. `fails`: returns the error of a batch, or None."""

    device_type = "cpu"
    dtype = torch.float32
    pad_id = 0
    vocab_size = VOCAB
    type_vocab_size: int | None = 2

    def __init__(self, fails: Callable[[PaddedBatch], Exception | None] = lambda batch: None) -> None:
        self.fails, self.shapes, self.freed = fails, [], 0

    def logits(self, batch: PaddedBatch) -> torch.Tensor:
        self.shapes.append(batch.ids.shape)
        if (error := self.fails(batch)) is not None:
            raise error
        logits = torch.zeros(len(batch.ids), 5)
        logits[:, 0] = torch.from_numpy(batch.ids[:, 0]).float()
        logits[:, 2] = torch.from_numpy(batch.lengths).float()
        logits[torch.from_numpy((batch.ids == NAN).any(1))] = float("nan")
        return logits

    def mark(self) -> Callable[[], None]:
        return done_already

    def memory(self) -> dict[str, int]:
        return {}

    def free_memory(self) -> None:
        self.freed += 1


def pack(rows: Iterable[list[int]]) -> RaggedSequences:
    listed = list(rows)
    ids = np.array([token for row in listed for token in row], np.int32)
    return RaggedSequences(ids, np.array([len(row) for row in listed], np.int32))


def failed(message: str, attempts: int = 1) -> RecordError:
    """The error of a row that the model refuses."""
    return RecordError(Fault.INFERENCE_FAILED, message, attempts)


class Shifted(FakeBackend):
    """A backend that returns one row too many."""

    def logits(self, batch: PaddedBatch) -> torch.Tensor:
        return torch.cat([super().logits(batch), torch.zeros(1, 5)])


class Unpadded(FakeBackend):
    """A backend that runs without padding, and records the lengths of its batches. Logits are [length, 0, 0, 0, 0]."""

    packs = True

    def packed_logits(self, batch: UnpaddedBatch) -> torch.Tensor:
        self.shapes.append(tuple(batch.lengths.tolist()))
        logits = torch.zeros(len(batch.lengths), 5)
        logits[:, 0] = torch.from_numpy(batch.lengths).float()
        return logits

    def record(self, max_tokens: int) -> int:
        return 0
