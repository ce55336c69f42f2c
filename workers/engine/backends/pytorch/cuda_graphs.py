"""Forwards that are recorded once per shape and replayed: Python launches one graph instead of a hundred kernels.

These are CUDA graphs (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs). A graph reads and writes the
memory that it was recorded with, so values are copied in and out.
"""

from collections.abc import Callable, Hashable
from typing import NamedTuple, Protocol

import torch


class Recorder(Protocol):
    """Runs and records `compute`. Returns a function that replays the work, and the tensor that gets the results."""

    def __call__(self, compute: Callable[[], torch.Tensor]) -> tuple[Callable[[], None], torch.Tensor]: ...


class _Recorded(NamedTuple):
    replay: Callable[[], None]
    output: torch.Tensor


class CudaGraphs:
    """Recorded forwards by shape. Record before there is traffic, because recording stops the device."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._recorded: dict[Hashable, _Recorded] = {}

    def record(self, shape: Hashable, compute: Callable[[], torch.Tensor]) -> None:
        """Record `compute`, which must launch the same work each time and read its input from fixed memory.

        Raises what recording raises, for example if the work needs a value on the host.
        """
        self._recorded[shape] = _Recorded(*self._recorder(compute))

    def __len__(self) -> int:
        return len(self._recorded)

    def replay(self, shape: Hashable, count: int) -> torch.Tensor:
        """Replay a recorded forward. Returns a copy of the first `count` rows of its output."""
        recorded = self._recorded[shape]
        recorded.replay()
        return recorded.output[:count].clone()  # the next replay overwrites the output


class CudaRecorder:
    """The `Recorder` of a GPU. All recordings share one memory pool, because they never run at the same time."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._side = device, torch.cuda.Stream(device)  # one stream: cuBLAS allocates memory per stream
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, compute: Callable[[], torch.Tensor]) -> tuple[Callable[[], None], torch.Tensor]:
        """See `Recorder`. Raises what capturing raises; up to torch 2.11 that breaks the allocator: end the process."""
        current = torch.cuda.current_stream(self._device)
        self._side.wait_stream(current)
        with torch.cuda.stream(self._side):
            compute()  # libraries initialize in their first run, which cannot be recorded
        current.wait_stream(self._side)
        graph = torch.cuda.CUDAGraph()
        try:
            # thread_local: other threads query the device's memory, which would abort a global capture.
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                output = compute()
        finally:
            torch.cuda.set_stream(current)  # after a failed capture torch stays on the capture's stream
        return graph.replay, output


def recorder_for(device: torch.device) -> Recorder | None:
    """The recorder for `device`; None for a CPU, which launches no kernels."""
    return CudaRecorder(device) if device.type == "cuda" else None
