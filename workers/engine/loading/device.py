"""Chooses the device and the dtype: what "auto" means, and which combinations are refused."""

import logging
from typing import NamedTuple

import torch

from labelstream.workers.engine.loading.dtype_trial import MARGIN, bfloat16_speedup
from labelstream.workers.errors import ModelError

logger = logging.getLogger(__name__)

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_HALF, _BFLOAT16 = 7, 8  # the first major compute capability with fast float16, with fast bfloat16


class Precision(NamedTuple):
    """The dtype that a model computes in. `why`: the reason, for a log line."""

    dtype: torch.dtype
    why: str

    @property
    def name(self) -> str:
        """The dtype as a config names it: "float32"."""
        return name_of(self.dtype)


def name_of(dtype: torch.dtype) -> str:
    """torch.float32 -> "float32"."""
    return str(dtype).removeprefix("torch.")


def device_for(source: str, wanted: str) -> torch.device:
    """The device for `wanted`: "auto" (a GPU if there is one), "cpu" or "cuda". Raises ModelError."""
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise ModelError(f"{source}: device cuda, but torch finds no GPU; set device to auto, or check the driver")
    return torch.device("cuda" if available and wanted != "cpu" else "cpu")


def dtype_for(source: str, wanted: str, device: torch.device, *, quantized: bool = False) -> torch.dtype:
    """As `precision_for`; logs the choice for "auto" with its reason. Raises ModelError."""
    found = precision_for(source, wanted, device, quantized=quantized)
    if wanted == "auto":
        logger.info("%s: dtype auto is %s: %s", source, found.name, found.why)
    elif wanted == "bfloat16" and device.type == "cpu" and not _cpu_has_bfloat16():
        logger.warning(
            "%s: this CPU has no bfloat16 instructions, so float32 would be faster; set dtype to auto", source
        )
    return found.dtype


def precision_for(source: str, wanted: str, device: torch.device, *, quantized: bool = False) -> Precision:
    """The dtype for `wanted`: "auto" or a dtype's name. `quantized`: the model runs in int8. Raises ModelError.

    "auto" on a GPU means bfloat16 if the GPU has it, else float16 if fast, else float32. On a CPU it means bfloat16 if
    a trial of 0.2 s, once per process, finds it at least `MARGIN` times as fast; else float32. The trial times torch's
    matrix products. OpenVINO uses the same library (oneDNN), so the result holds for both.
    """
    if wanted == "auto":
        if quantized:
            return Precision(torch.float32, "operations that are not quantized to int8 stay in float32")
        return _auto_on_gpu(device) if device.type == "cuda" else _auto_on_cpu()
    if wanted == "float16" and device.type == "cpu":
        raise ModelError(f"{source}: dtype float16 needs a GPU; set dtype to auto, bfloat16 or float32")
    if wanted == "bfloat16" and device.type == "cuda" and _capability(device)[0] < _BFLOAT16:
        raise ModelError(f"{source}: this GPU has no bfloat16 ({_named(device)}); set dtype to float16 or float32")
    return Precision(_DTYPES[wanted], "set by dtype")


def _auto_on_gpu(device: torch.device) -> Precision:
    major = _capability(device)[0]
    if major >= _BFLOAT16:
        return Precision(torch.bfloat16, f"this GPU has fast bfloat16 ({_named(device)})")
    if major >= _HALF:  # T4, V100: eight times the speed of float32
        return Precision(torch.float16, f"this GPU has fast float16, and no bfloat16 ({_named(device)})")
    return Precision(torch.float32, f"half precision is not faster on this GPU ({_named(device)})")


def _auto_on_cpu() -> Precision:
    if not _cpu_has_bfloat16():
        return Precision(torch.float32, "this CPU has no instructions for bfloat16")
    ratio = bfloat16_speedup()
    if ratio >= MARGIN:
        return Precision(torch.bfloat16, f"its matrix products are {ratio:.2f} times as fast as float32's on this CPU")
    return Precision(
        torch.float32,
        f"bfloat16's matrix products are {ratio:.2f} times as fast on this CPU, below the required {MARGIN:g}",
    )


def _capability(device: torch.device) -> tuple[int, int]:
    return torch.cuda.get_device_capability(device)


def _named(device: torch.device) -> str:
    return "compute capability {}.{}".format(*_capability(device))


def _cpu_has_bfloat16() -> bool:
    """Whether the CPU has bfloat16 instructions. Without them bfloat16 is slower than float32."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(check() for name in checks if (check := getattr(torch.cpu, name, None)) is not None)
