"""The OpenVINO packages: whether they are installed, their import, and compiling a model for this CPU."""

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
# By their own names: the package index holds another project's `labelstream`.
INSTALL = "pip install openvino nncf"


def missing_package(*packages: str) -> str | None:
    """The first of `packages` that is not installed."""
    return next((name for name in packages if importlib.util.find_spec(name) is None), None)


def imported(package: str) -> Any:
    """The imported `package`, one of PACKAGES. Raises ImportError.

    Disables telemetry: both report each import and conversion to Google Analytics if they find openvino_telemetry.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return importlib.import_module(package)


def versions(*packages: str) -> dict[str, str]:
    """The installed version of each package."""
    return {name: importlib.metadata.version(name) for name in packages}


@cache
def core() -> Any:
    """The process's only `openvino.Core`, which loads the CPU plugin once."""
    return imported("openvino").Core()


def computes(dtype: torch.dtype) -> torch.dtype:
    """The dtype that OpenVINO computes in for `dtype`: bfloat16 if this CPU supports it, else float32."""
    fast = dtype is torch.bfloat16 and "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return torch.bfloat16 if fast else torch.float32


def compiled(model: Any, dtype: torch.dtype, **more: Any) -> Any:
    """`model` (an `openvino.Model` or its path), compiled to run with torch's number of threads."""
    properties: Mapping[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",  # one batch at a time, on all threads
        "INFERENCE_PRECISION_HINT": "bf16" if dtype is torch.bfloat16 else "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        # Pinning would put all replicas of a machine on its first cores.
        "ENABLE_CPU_PINNING": False,
        # Number of input shapes whose code is cached. The default of 5,000 takes 0.2 MB per shape of a tiny model;
        # compiling a shape again costs no measurable time.
        "CPU_RUNTIME_CACHE_CAPACITY": 256,
        **more,
    }
    return core().compile_model(model, "CPU", dict(properties))
