"""What runs a model: padded ids in, logits out, nothing else; so that other runtimes fit behind the same seam."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch

from labelstream.workers.engine.inference.batch_plan import PaddedBatch, UnpaddedBatch


def done_already() -> None:
    """What `Backend.mark` gives where the device has done its work when a call returns, as a CPU has."""


class Backend(Protocol):
    """One loaded model on one device. One calling thread at a time."""

    @property
    def device_type(self) -> str:
        """ "cpu" or "cuda"."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        ...

    @property
    def pad_id(self) -> int:
        """The id that fills up shorter sequences."""
        ...

    @property
    def vocab_size(self) -> int:
        """Ids from this one on are not the model's."""
        ...

    @property
    def type_vocab_size(self) -> int | None:
        """Type ids from this one on are not the model's; None: it has no table that they could lie outside of."""
        ...

    def logits(self, batch: PaddedBatch) -> torch.Tensor:
        """Run the model: floating point [n, labels] on the device, perhaps before the device has computed it.

        Raises whatever the runtime raises.
        """
        ...

    def mark(self) -> Callable[[], None]:
        """A call that waits until the device has done all the work it has so far; later work is not waited for.

        The call raises what that work raised.
        """
        ...

    def memory(self) -> dict[str, int]:
        """Bytes of the device: "used" by what is loaded and computed, "reserved" for it, "total"; none of a CPU."""
        ...

    def free_memory(self) -> None:
        """Give back what is cached, after the device ran out of memory."""
        ...


@runtime_checkable
class UnpaddedBackend(Backend, Protocol):
    """One that may also run sequences without padding."""

    @property
    def packs(self) -> bool:
        """Whether it does with this model."""
        ...

    def packed_logits(self, batch: UnpaddedBatch) -> torch.Tensor:
        """As `logits`."""
        ...

    def record(self, max_tokens: int) -> int:
        """Record forwards of up to `max_tokens`; how many were recorded, 0 where the device records nothing.

        Later forwards of these shapes take no launching. To be called before there is traffic: the device stands still
        meanwhile. Raises what recording raises, after which this process cannot go on.
        """
        ...
