"""Forwards that are recorded once per shape and then replayed: Python launches one graph instead of a hundred kernels.

CUDA graphs, as in https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs: input and output stay where they
were when recorded, so values are copied in and out.
"""

from collections.abc import Callable, Hashable
from typing import NamedTuple, Protocol

import torch


class Recorder(Protocol):
    """Runs `compute` and keeps what it did: what does it again, and the tensor that the result is in each time."""

    def __call__(self, compute: Callable[[], torch.Tensor]) -> tuple[Callable[[], None], torch.Tensor]: ...


class _Recorded(NamedTuple):
    replay: Callable[[], None]
    output: torch.Tensor


class CudaGraphs:
    """Recordings by shape. They are made before there is traffic: to record stops the device and all who use it."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._recorded: dict[Hashable, _Recorded] = {}

    def record(self, shape: Hashable, compute: Callable[[], torch.Tensor]) -> None:
        """Keep what `compute` does. It must launch the same work each time, and read what it needs from where it lies.

        Raises what recording raises, e.g. when the work asks for a value on the host.
        """
        self._recorded[shape] = _Recorded(*self._recorder(compute))

    def __len__(self) -> int:
        return len(self._recorded)

    def replay(self, shape: Hashable, count: int) -> torch.Tensor:
        """The first `count` rows of the result, in memory of their own."""
        recorded = self._recorded[shape]
        recorded.replay()
        return recorded.output[:count].clone()  # the next replay writes there again


class CudaRecorder:
    """The real one. All recordings share one pool of memory: they never run at the same time."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._side = device, torch.cuda.Stream(device)  # each stream costs memory of cuBLAS
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, compute: Callable[[], torch.Tensor]) -> tuple[Callable[[], None], torch.Tensor]:
        """Raises what capturing raises. torch's allocator is of no use any more then, up to 2.11: end the process."""
        current = torch.cuda.current_stream(self._device)
        self._side.wait_stream(current)
        with torch.cuda.stream(self._side):
            compute()  # libraries set themselves up in their first run, which cannot be recorded
        current.wait_stream(self._side)
        graph = torch.cuda.CUDAGraph()
        try:
            # Of this thread alone: others ask for the device's memory meanwhile, which would end the capture.
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                output = compute()
        finally:
            torch.cuda.set_stream(current)  # torch leaves its own behind where a capture fails
        return graph.replay, output


def recorder_for(device: torch.device) -> Recorder | None:
    """What suits the device; None for a CPU, which launches nothing."""
    return CudaRecorder(device) if device.type == "cuda" else None
