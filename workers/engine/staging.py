"""A batch's arrays -> tensors on the device."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[np.int64]]
_BUFFERS = 4  # pinned ones in turn: a batch is filled in while those before it are copied and computed
_LEAST_VALUES = 65_536


class Stager(Protocol):
    """Same names, same shapes, int64, on the device."""

    def __call__(self, arrays: Arrays) -> dict[str, torch.Tensor]: ...


def stager_for(device: torch.device) -> Stager:
    """What suits the device."""
    return PinnedStager(device) if device.type == "cuda" else share


def share(arrays: Arrays) -> dict[str, torch.Tensor]:
    """On a CPU the tensors are the arrays."""
    return {name: torch.from_numpy(values) for name, values in arrays.items()}


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


class PinnedStager:
    """One copy per batch, from pinned memory that is used again, on a stream of its own: it overlaps with computing."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._buffers = [torch.empty(0, dtype=torch.int64)] * _BUFFERS
        self._copied = [torch.cuda.Event() for _ in range(_BUFFERS)]
        self._next = 0

    def __call__(self, arrays: Arrays) -> dict[str, torch.Tensor]:
        """Returns while the copy is under way; what the current stream does from now on waits for it."""
        turn, size = self._next, sum(values.size for values in arrays.values())
        self._next = (turn + 1) % _BUFFERS
        self._copied[turn].synchronize()  # of four batches ago: it has long been copied
        if len(self._buffers[turn]) < size:
            values = max(_LEAST_VALUES, 1 << (size - 1).bit_length())
            self._buffers[turn] = torch.empty(values, dtype=torch.int64, pin_memory=True)
        pinned = self._buffers[turn]
        places = fill(pinned.numpy(), arrays)
        computing = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(self._stream):
            whole = pinned[:size].to(self._device, non_blocking=True)
            self._copied[turn].record(self._stream)
        computing.wait_event(self._copied[turn])
        whole.record_stream(computing)
        return views(whole, places)
