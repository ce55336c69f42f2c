"""Copies a batch's arrays to tensors on the device."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from labelstream.workers.engine.inference.forward_layout import Arrays

_BUFFERS = 16  # pinned buffers, used in turn: up to so many copies may be under way
_MIN_VALUES = 65_536


class DeviceCopier(Protocol):
    """Returns int64 tensors of the same names and shapes on the device: in `into`, int64 [values], or in new memory."""

    def __call__(self, arrays: Arrays, into: torch.Tensor | None = None) -> dict[str, torch.Tensor]: ...


def copier_for(device: torch.device) -> DeviceCopier:
    """The copier for `device`."""
    return PinnedCopier(device) if device.type == "cuda" else share


def share(arrays: Arrays, into: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    """The copier of a CPU, whose tensors share the arrays' memory unless `into` is given."""
    if into is not None:
        return views(into, fill(into.numpy(), arrays))
    return {name: torch.from_numpy(values) for name, values in arrays.items()}


def size_of(arrays: Arrays) -> int:
    """Number of values of all arrays together."""
    return sum(values.size for values in arrays.values())


def fill(buffer: NDArray[np.int64], arrays: Arrays) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Write all arrays into `buffer`, one after the other. Returns the start and shape of each."""
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
    """Copies a batch in one asynchronous copy from reused pinned memory, on the computing stream. Takes 10 us."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._buffers = [torch.empty(0, dtype=torch.int64)] * _BUFFERS
        self._copied = [torch.cuda.Event(blocking=True) for _ in range(_BUFFERS)]
        self._next = 0

    def __call__(self, arrays: Arrays, into: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        """See `DeviceCopier`. Returns while the copy is under way; the current stream runs later work after it."""
        turn, size = self._next, size_of(arrays)
        self._next = (turn + 1) % _BUFFERS
        self._copied[turn].synchronize()  # waits for the copy of 16 batches ago
        if len(self._buffers[turn]) < size:
            values = max(_MIN_VALUES, 1 << (size - 1).bit_length())
            self._buffers[turn] = torch.empty(values, dtype=torch.int64, pin_memory=True)
        pinned = self._buffers[turn]
        places = fill(pinned.numpy(), arrays)
        whole = torch.empty(size, dtype=torch.int64, device=self._device) if into is None else into[:size]
        whole.copy_(pinned[:size], non_blocking=True)
        self._copied[turn].record()
        return views(whole, places)
