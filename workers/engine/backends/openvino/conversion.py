"""Converts a torch model and its output head to an OpenVINO model with the same inputs, of any shape."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from labelstream.workers.engine.backends.openvino.runtime import imported

if TYPE_CHECKING:  # transformers' modeling code takes 2 s to import, and a converted model does not need it
    from transformers import PreTrainedModel

    from labelstream.workers.engine.backends.pytorch.heads import OutputHead

# Sizes of the example that no dimension of a model has, and that do not broadcast, so that tracing keeps them apart.
_ROWS, _LENGTH = 3, 7


class Traced(torch.nn.Module):
    """The model with its head as a module of positional inputs, in the order of `input_names`: [n, outputs].

    Outputs are NaN if the model's last hidden states are not finite. OpenVINO's relu in a head would turn NaN into 0,
    and the result into a label.
    """

    def __init__(self, model: "PreTrainedModel", read: "OutputHead", names: Sequence[str]) -> None:
        super().__init__()
        self.model, self._read, self._names = model, read, tuple(names)
        self._hidden: list[torch.Tensor] = []
        base: torch.nn.Module = model.base_model
        self._hook = base.register_forward_hook(lambda _, __, given: self._hidden.append(given.last_hidden_state))

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """`inputs`: int64 [n, L] each, except targets: int64 [n]."""
        named: dict[str, Any] = dict(zip(self._names, inputs, strict=True))
        targets = named.pop("targets", None)
        self._hidden.clear()
        read = self._read({**named, "return_dict": True}, targets)
        return read + 0 * self._hidden[-1].sum((1, 2))[:, None]

    def let_go(self) -> None:
        """Remove the hook from the model."""
        self._hook.remove()


def input_names(takes_type_ids: bool, takes_targets: bool) -> tuple[str, ...]:
    """Names of the converted model's inputs, in order."""
    more = (("token_type_ids",) if takes_type_ids else ()) + (("targets",) if takes_targets else ())
    return ("input_ids", "attention_mask", *more)


def convert(model: "PreTrainedModel", read: "OutputHead", names: Sequence[str], max_length: int) -> Any:
    """An `openvino.Model` for texts of at most `max_length` tokens, which shares the weights of `model`.

    `model`: float32, on the CPU, in eval mode. Raises whatever torch's tracing or OpenVINO raises for an architecture
    that it cannot convert.
    """
    from labelstream.workers.engine.backends.openvino.deberta_positions import tabled

    openvino = imported("openvino")
    example = _example(names)
    traced = Traced(model, read, names).eval()
    with warnings.catch_warnings(), _own_log(), torch.no_grad(), tabled(model, max_length):
        # Tracing warns that it is deprecated, and for each Python number that becomes a constant. `parity_check`
        # compares the result with torch in other shapes.
        warnings.simplefilter("ignore")
        try:
            converted = openvino.convert_model(traced, example_input=example)
        finally:
            traced.let_go()
    for port, name in zip(converted.inputs, names, strict=True):
        port.get_tensor().set_names({name})
    return converted


@contextmanager
def _own_log() -> Iterator[None]:
    """Restore the root logger, which OpenVINO's converter reconfigures so that the process loses its warnings."""
    root = logging.getLogger()
    level, filters, handlers = root.level, root.filters[:], root.handlers[:]
    try:
        yield
    finally:
        root.setLevel(level)
        root.filters[:], root.handlers[:] = filters, handlers


def _example(names: Sequence[str]) -> tuple[torch.Tensor, ...]:
    """Inputs to trace with. They contain padding, because without it attention would be traced without a mask."""
    ids = torch.arange(_ROWS * _LENGTH).reshape(_ROWS, _LENGTH) % 5 + 1
    mask = torch.ones_like(ids)
    mask[1, _LENGTH - 2 :] = 0
    values = {
        "input_ids": ids,
        "attention_mask": mask,
        "token_type_ids": torch.zeros_like(ids),
        "targets": torch.arange(_ROWS),
    }
    return tuple(values[name] for name in names)
