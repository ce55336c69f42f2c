"""Emulates a GPU's forwards without padding, and their recordings, on a CPU."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest
import torch

from labelstream.workers.engine.backends.pytorch.cuda_graphs import Recorder as RecorderProtocol
from labelstream.workers.engine.modeling import torch_model

R = TypeVar("R", bound=RecorderProtocol | None)


class Recorder:
    """Replays by computing again into the same memory. `failing`: raises it. `added`: a value added to the output."""

    def __init__(self, failing: Exception | None = None, added: float = 0.0) -> None:
        self.calls, self.replays, self._failing, self._added = 0, 0, failing, added

    def __call__(self, compute: Callable[[], torch.Tensor]) -> tuple[Callable[[], None], torch.Tensor]:
        self.calls += 1
        if self._failing is not None:
            raise self._failing
        output = torch.full_like(compute(), float("nan"))  # recording computes nothing

        def replay() -> None:
            self.replays += 1
            with torch.inference_mode():
                output.copy_(compute() + self._added)

        return replay, output


@contextmanager
def unpadded_on_a_cpu(recorder: R = None) -> Iterator[R]:
    """Within the block models load as on a GPU: without padding if their type can, and recorded by `recorder` if
    given."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_model, "unpadded_on", lambda device: True)
        patch.setattr(torch_model, "recorder_for", lambda device: recorder)
        yield recorder
