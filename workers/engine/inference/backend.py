"""The interface of a runtime: padded ids in, logits out."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch

from labelstream.workers.engine.inference.forward_layout import PaddedBatch, UnpaddedBatch


def done_already() -> None:
    """The result of `Backend.mark` for a device, such as a CPU, that has finished when `logits` returns."""


def mark_nothing() -> Callable[[], None]:
    """`Backend.mark` of such a device."""
    return done_already


class Backend(Protocol):
    """One loaded model on one device. One calling thread at a time."""

    @property
    def device_type(self) -> str:
        """ "cpu" or "cuda"."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """The number format that the backend computes in."""
        ...

    @property
    def pad_id(self) -> int:
        """The id that pads shorter sequences."""
        ...

    @property
    def vocab_size(self) -> int:
        """Number of token ids; the model has no row for larger ids."""
        ...

    @property
    def type_vocab_size(self) -> int | None:
        """Number of type ids; None for a model without a table of type ids."""
        ...

    def logits(self, batch: PaddedBatch) -> torch.Tensor:
        """Run the model. Returns floating point [n, outputs] on the device, which may still be computing the values.

        Raises whatever the runtime raises.
        """
        ...

    def mark(self) -> Callable[[], None]:
        """A function that waits for all work that the device has at this moment, and not for later work.

        The function raises what that work raised.
        """
        ...

    def memory(self) -> dict[str, int]:
        """Bytes of the device's memory: "used" by tensors, "reserved" by the allocator, "total"; empty for a CPU."""
        ...

    def free_memory(self) -> None:
        """Return cached memory to the device, after it ran out of memory."""
        ...


@runtime_checkable
class UnpaddedBackend(Backend, Protocol):
    """A backend that can also run sequences without padding."""

    @property
    def packs(self) -> bool:
        """Whether the backend can run this model without padding."""
        ...

    def packed_logits(self, batch: UnpaddedBatch) -> torch.Tensor:
        """As `logits`, without padding."""
        ...

    def record(self, max_tokens: int) -> int:
        """Record forwards of up to `max_tokens` tokens. Returns the number of recordings, 0 if the device records none.

        A recorded forward replays its kernels in one launch. Call it before traffic, because recording stops the
        device. Raises what recording raises; the process must then end.
        """
        ...
