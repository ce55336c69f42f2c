"""A float32 OpenVINO model -> one that computes in int8: activations as well as weights, by calibration."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import rich
import torch

from labelstream.workers.classifier import Request
from labelstream.workers.engine.backends.openvino.backend import arrays
from labelstream.workers.engine.backends.openvino.runtime import imported
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.inference.batch_plan import PaddedBatch, pad, plan
from labelstream.workers.engine.inference.batch_runner import Rows
from labelstream.workers.engine.tasks import task_for

_BATCH_TOKENS = 1_024


def has_vnni() -> bool:
    """Whether this CPU adds products of 8 bits up in 32. Without it they are added in 16, which may overflow."""
    check = getattr(torch.cpu, "_is_vnni_supported", None)
    return bool(check and check())


def quantize(
    model: Any, description: ModelDescription, requests: Sequence[Request], names: Sequence[str], pad_id: int
) -> Any:
    """`model`: an `openvino.Model` of the inputs `names`. Raises what nncf raises, and ValueError for NaN in it."""
    _check_weights(model)
    nncf = imported("nncf")
    batches = [[arrays(batch)[name] for name in names] for batch in _batches(description, requests, pad_id)]
    overflow = nncf.OverflowFix.DISABLE if has_vnni() else nncf.OverflowFix.ENABLE  # takes a bit of the weights
    console = rich.get_console()  # nncf draws its progress there
    before, console.quiet = console.quiet, True
    try:
        return nncf.quantize(
            model,
            nncf.Dataset(batches),
            subset_size=len(batches),
            model_type=nncf.ModelType.TRANSFORMER,
            advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=overflow),
        )
    finally:
        console.quiet = before


def _check_weights(model: Any) -> None:
    """In floating point NaN comes out as NaN, which is no answer; int8 would make a number of it."""
    for node in model.get_ops():
        if node.get_type_name() == "Constant" and node.get_element_type().is_real() and np.isnan(node.data).any():
            raise ValueError(f"its weight {node.get_friendly_name()} holds NaN, which int8 would make a number of")


def _batches(description: ModelDescription, requests: Sequence[Request], pad_id: int) -> list[PaddedBatch]:
    """Of equal lengths: what a model makes of padding says nothing of its activations."""
    packed = task_for(description).prepare(requests).packed
    starts = Rows(packed).starts
    return [pad(packed, starts, rows, pad_id) for rows in plan(packed.lengths, _BATCH_TOKENS, overhead_tokens=0)]
