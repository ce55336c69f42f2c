"""FLOPs of a model and the peak of the device: their quotient is the MFU.

MFU (model FLOPs utilization) as in "PaLM: Scaling Language Modeling with Pathways" (Chowdhery et al. 2022, appendix B):
FLOPs of the real tokens (without padding) per second, as a share of the peak. The peak is a large matrix product of the
same dtype, timed in the same process. FLOPs that the engine saves
(`labelstream.workers.engine.backends.pytorch.last_layer`) are not counted for the engine: with the FLOPs of
transformers its MFU would be higher.
"""

import copy
import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from labelstream.workers.engine.backends.pytorch.last_layer import prune_last_layer

_SHORT, _LONG = 16, 64
_SIDE = {"cpu": 2_048, "cuda": 8_192}
_PEAK_S = 0.5


class Flops:
    """FLOPs of one forward of `model`, a classifier, as a function of a sequence's length.

    Linear layers grow with the length, attention with its square, and the head is constant, so three lengths suffice.
    `narrowed`: the model as the engine runs it.
    """

    def __init__(self, model: Any, longest: int, narrowed: bool = False) -> None:
        if narrowed:
            model = copy.deepcopy(model)
            prune_last_layer(model)
        lengths = [max(2, min(longest, length)) for length in (_SHORT, (_SHORT + _LONG) // 2, _LONG)]
        counts = [_count(model, length) for length in lengths]
        self._polynomial = np.polyfit(lengths, counts, 2)

    def of(self, lengths: NDArray[np.int32]) -> float:
        """The FLOPs of all sequences of these lengths together."""
        return float(np.polyval(self._polynomial, lengths.astype(np.float64)).sum())


def _count(model: Any, length: int) -> int:
    ids = torch.ones(1, length, dtype=torch.int64, device=model.device)
    # The math backend: the counter knows its products on every device. Fused kernels compute the same.
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(input_ids=ids)
    return counter.get_total_flops()


def matmul_peak(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of a large matrix product: the best of about half a second."""
    side = _SIDE[device.type]
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    best, deadline = float("inf"), time.perf_counter() + _PEAK_S
    while best == float("inf") or time.perf_counter() < deadline:
        started = time.perf_counter()
        with torch.inference_mode():
            torch.mm(a, b)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best
