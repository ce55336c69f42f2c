"""Forwards that are recorded once per shape and then replayed: Python launches one graph instead of a hundred kernels.

CUDA graphs, as in https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs: input and output stay where they
were when recorded, so values are copied in and out.
"""

import logging
from collections.abc import Callable, Hashable, Mapping
from typing import NamedTuple, Protocol

import torch

from workers.engine.faults import one_line

logger = logging.getLogger(__name__)

Inputs = Mapping[str, torch.Tensor]
Forward = Callable[[Inputs], torch.Tensor]
MOST_GRAPHS = 64
_RECORD_AT = 2  # uses of a shape: what is seen once is not worth a recording


class Recorder(Protocol):
    """Runs `compute` and keeps what it did: what does it again, and the tensor that the result is in each time."""

    def __call__(self, compute: Callable[[], torch.Tensor]) -> tuple[Callable[[], None], torch.Tensor]: ...


class _Recorded(NamedTuple):
    replay: Callable[[], None]
    inputs: dict[str, torch.Tensor]
    output: torch.Tensor


class Graphs:
    """At most `most` recordings, kept until `clear`; other shapes, and those that fail to record, run as they are."""

    def __init__(self, record: Recorder, most: int = MOST_GRAPHS) -> None:
        self._record, self._most = record, most
        self._recorded: dict[Hashable, _Recorded | None] = {}
        self._seen: dict[Hashable, int] = {}

    def run(self, shape: Hashable, inputs: Inputs, forward: Forward) -> torch.Tensor:
        """`forward(inputs)`. It must launch the same work for all inputs of a `shape`, and nothing else it depends on
        may change."""
        known = self._recorded.get(shape)
        if known is None:
            if not self._wants(shape):
                return forward(inputs)
            known = self._try(shape, inputs, forward)
            if known is None:
                return forward(inputs)
        for name, values in inputs.items():
            known.inputs[name].copy_(values)
        known.replay()
        return known.output.clone()  # the next replay writes there again

    def clear(self) -> None:
        """Give their memory back, and begin anew."""
        self._recorded.clear()
        self._seen.clear()

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(known is not None for known in self._recorded.values())

    def _wants(self, shape: Hashable) -> bool:
        if shape in self._recorded or len(self._recorded) >= self._most:
            return False
        self._seen[shape] = self._seen.get(shape, 0) + 1
        return self._seen[shape] >= _RECORD_AT

    def _try(self, shape: Hashable, inputs: Inputs, forward: Forward) -> _Recorded | None:
        kept = {name: values.clone() for name, values in inputs.items()}
        try:
            replay, output = self._record(lambda: forward(kept))
            self._recorded[shape] = _Recorded(replay, kept, output)
        except Exception as error:
            logger.warning("shape %s runs without a CUDA graph: %s", shape, one_line(error))
            self._recorded[shape] = None
        return self._recorded[shape]


class CudaRecorder:
    """The real one. All recordings share one pool of memory: they never run at the same time."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, compute: Callable[[], torch.Tensor]) -> tuple[Callable[[], None], torch.Tensor]:
        """Raises what capturing raises, e.g. when the work asks for a value on the host."""
        current, side = torch.cuda.current_stream(self._device), torch.cuda.Stream(self._device)
        side.wait_stream(current)
        with torch.cuda.stream(side):
            compute()  # libraries set themselves up in their first run, which cannot be recorded
        current.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            output = compute()
        return graph.replay, output
