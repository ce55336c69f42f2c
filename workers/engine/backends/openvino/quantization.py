"""Quantizes weights and activations of a float32 OpenVINO model to int8, by calibration."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import rich
import torch

from labelstream.workers.classifier import Request
from labelstream.workers.engine.backends.openvino.backend import arrays
from labelstream.workers.engine.backends.openvino.runtime import imported
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.inference.forward_layout import PaddedBatch, pad
from labelstream.workers.engine.inference.forward_plan import plan
from labelstream.workers.engine.inference.predict_call import Rows
from labelstream.workers.engine.tasks import task_for

_BATCH_TOKENS = 1_024


def has_vnni() -> bool:
    """Whether this CPU sums 8-bit products in 32 bits. Other CPUs sum them in 16 bits, which may overflow."""
    check = getattr(torch.cpu, "_is_vnni_supported", None)
    return bool(check and check())


def quantize(
    model: Any, description: ModelDescription, requests: Sequence[Request], names: Sequence[str], pad_id: int
) -> Any:
    """The quantized `model`, an `openvino.Model` with the inputs `names`.

    Raises ValueError if a weight is NaN, and whatever nncf raises.
    """
    _check_weights(model)
    nncf = imported("nncf")
    batches = [[arrays(batch)[name] for name in names] for batch in _batches(description, requests, pad_id)]
    overflow = nncf.OverflowFix.DISABLE if has_vnni() else nncf.OverflowFix.ENABLE  # the fix costs one bit of weights
    console = rich.get_console()  # nncf draws its progress bars on this console
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
    """Refuse NaN weights. Floating point keeps NaN up to the logits, which are then refused; int8 hides it."""
    for node in model.get_ops():
        if node.get_type_name() == "Constant" and node.get_element_type().is_real() and np.isnan(node.data).any():
            raise ValueError(f"its weight {node.get_friendly_name()} holds NaN, which int8 would turn into a number")


def _batches(description: ModelDescription, requests: Sequence[Request], pad_id: int) -> list[PaddedBatch]:
    """Calibration batches of equal lengths, because padding would distort the statistics of activations."""
    packed = task_for(description).prepare(requests).packed
    starts = Rows(packed).starts
    return [pad(packed, starts, rows, pad_id) for rows in plan(packed.lengths, _BATCH_TOKENS, overhead_tokens=0)]
