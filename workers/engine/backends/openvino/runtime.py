"""OpenVINO itself: whether it is there, its import, and how a model is made ready to run on this CPU."""

import importlib
import importlib.metadata
import importlib.util
import logging
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch

logger = logging.getLogger(__name__)

PACKAGES = ("openvino", "nncf")
EXTRA = 'pip install "labelstream[openvino]"'


def missing_package(*packages: str) -> str | None:
    """The first of `packages` that is not installed."""
    return next((name for name in packages if importlib.util.find_spec(name) is None), None)


def imported(package: str) -> Any:
    """`package`, one of PACKAGES. Raises ImportError.

    Both report each import and each conversion to Google Analytics by themselves, unless this module is missing.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return importlib.import_module(package)


def versions(*packages: str) -> dict[str, str]:
    """What is installed of them."""
    return {name: importlib.metadata.version(name) for name in packages}


@cache
def core() -> Any:
    """One per process: it holds the plugin of the CPU."""
    return imported("openvino").Core()


def computes(dtype: torch.dtype) -> torch.dtype:
    """What it will compute in where `dtype` is asked for: bfloat16 only with instructions for it."""
    fast = dtype is torch.bfloat16 and "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return torch.bfloat16 if fast else torch.float32


def compiled(model: Any, dtype: torch.dtype, **more: Any) -> Any:
    """`model` (an `openvino.Model` or the path of one), ready to run with as many threads as torch has here."""
    properties: Mapping[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",  # one batch at a time, on all threads
        "INFERENCE_PRECISION_HINT": "bf16" if dtype is torch.bfloat16 else "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        # Replicas that share a machine would all be pinned to its first cores.
        "ENABLE_CPU_PINNING": False,
        # Of so many shapes the code is kept. By default it is 5,000, at 0.2 MB each of a tiny model; to make it again
        # costs no more than can be measured.
        "CPU_RUNTIME_CACHE_CAPACITY": 256,
        **more,
    }
    return core().compile_model(model, "CPU", dict(properties))
