"""What runs a model: padded ids in, logits out, nothing else; so that other runtimes fit behind the same seam."""

from typing import Protocol, runtime_checkable

import torch

from workers.engine.batcher import PackedBatch, PaddedBatch


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

    def logits(self, batch: PaddedBatch) -> torch.Tensor:
        """Run the model: floating point [n, labels] on the device, perhaps before the device has computed it.

        Raises whatever the runtime raises.
        """
        ...

    def memory(self) -> dict[str, int]:
        """Bytes of the device: "used" by what is loaded and computed, "reserved" for it, "total"; none of a CPU."""
        ...

    def free_memory(self) -> None:
        """Give back what is cached, after the device ran out of memory."""
        ...


@runtime_checkable
class PackingBackend(Backend, Protocol):
    """One that may also run sequences without padding."""

    @property
    def packs(self) -> bool:
        """Whether it does with this model."""
        ...

    def packed_logits(self, batch: PackedBatch) -> torch.Tensor:
        """As `logits`."""
        ...
