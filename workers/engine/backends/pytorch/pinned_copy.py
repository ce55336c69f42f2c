"""A batch's arrays -> tensors on the device."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from labelstream.workers.engine.inference.batch_plan import Arrays

_BUFFERS = 16  # pinned ones in turn: so many batches may be on their way
_MIN_VALUES = 65_536


class DeviceCopier(Protocol):
    """Same names, same shapes, int64, on the device: at the beginning of `into`, int64 [values], or in new memory."""

    def __call__(self, arrays: Arrays, into: torch.Tensor | None = None) -> dict[str, torch.Tensor]: ...


def stager_for(device: torch.device) -> DeviceCopier:
    """What suits the device."""
    return PinnedCopier(device) if device.type == "cuda" else share


def share(arrays: Arrays, into: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    """On a CPU the tensors are the arrays."""
    if into is not None:
        return views(into, fill(into.numpy(), arrays))
    return {name: torch.from_numpy(values) for name, values in arrays.items()}


def size_of(arrays: Arrays) -> int:
    """Values in all arrays together."""
    return sum(values.size for values in arrays.values())


def fill(buffer: NDArray[np.int64], arrays: Arrays) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Write all arrays into `buffer`, one behind the other; where each one starts, and its shape."""
    places: dict[str, tuple[int, tuple[int, ...]]] = {}
    start = 0
    for name, values in arrays.items():
        buffer[start : start + values.size] = values.reshape(-1)
        places[name] = start, values.shape
        start += values.size
    return places


def views(whole: torch.Tensor, places: Mapping[str, tuple[int, tuple[int, ...]]]) -> dict[str, torch.Tensor]:
    """The tensors at `places` of `whole`, without a copy."""
    return {name: whole[start : start + int(np.prod(shape))].view(shape) for name, (start, shape) in places.items()}


class PinnedCopier:
    """One copy per batch, from pinned memory that is used again, in the order of the computing: it takes 10 us."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._buffers = [torch.empty(0, dtype=torch.int64)] * _BUFFERS
        self._copied = [torch.cuda.Event(blocking=True) for _ in range(_BUFFERS)]
        self._next = 0

    def __call__(self, arrays: Arrays, into: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        """Returns while the copy is under way; what the current stream does from now on comes behind it."""
        turn, size = self._next, size_of(arrays)
        self._next = (turn + 1) % _BUFFERS
        self._copied[turn].synchronize()  # of 16 batches ago
        if len(self._buffers[turn]) < size:
            values = max(_MIN_VALUES, 1 << (size - 1).bit_length())
            self._buffers[turn] = torch.empty(values, dtype=torch.int64, pin_memory=True)
        pinned = self._buffers[turn]
        places = fill(pinned.numpy(), arrays)
        whole = torch.empty(size, dtype=torch.int64, device=self._device) if into is None else into[:size]
        whole.copy_(pinned[:size], non_blocking=True)
        self._copied[turn].record()
        return views(whole, places)
