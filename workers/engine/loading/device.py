"""Which device and which precision: what "auto" means, and what is refused."""

import logging
from typing import NamedTuple

import torch

from labelstream.workers.engine.loading.dtype_trial import MARGIN, bfloat16_speedup
from labelstream.workers.errors import ModelError

logger = logging.getLogger(__name__)

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_HALF, _BFLOAT16 = 7, 8  # major compute capability from which on a GPU multiplies fast in it


class Precision(NamedTuple):
    """What a model is to compute in. `why`: half a sentence for people."""

    dtype: torch.dtype
    why: str

    @property
    def name(self) -> str:
        """As `dtype` is written in a config: "float32"."""
        return name_of(self.dtype)


def name_of(dtype: torch.dtype) -> str:
    """torch.float32 -> "float32"."""
    return str(dtype).removeprefix("torch.")


def device_for(source: str, wanted: str) -> torch.device:
    """`wanted`: "auto" (the GPU where there is one) | "cpu" | "cuda". Raises ModelError."""
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise ModelError(f"{source}: device cuda, but torch sees no GPU; use device auto or cpu, or check the driver")
    return torch.device("cuda" if available and wanted != "cpu" else "cpu")


def dtype_for(source: str, wanted: str, device: torch.device, *, quantized: bool = False) -> torch.dtype:
    """As `precision_for`; the log says what "auto" is and why. Raises ModelError."""
    found = precision_for(source, wanted, device, quantized=quantized)
    if wanted == "auto":
        logger.info("%s: dtype auto is %s: %s", source, found.name, found.why)
    elif wanted == "bfloat16" and device.type == "cpu" and not _cpu_has_bfloat16():
        logger.warning("%s: this CPU has no bfloat16 instructions; float32 is faster here", source)
    return found.dtype


def precision_for(source: str, wanted: str, device: torch.device, *, quantized: bool = False) -> Precision:
    """What a model is to compute in. `wanted`: "auto" or a dtype's name. `quantized`: it runs in int8.

    "auto" on a GPU: bfloat16, or float16 where that alone is fast, or float32. On a CPU: bfloat16 where a trial of
    0.2 s, made once per process, finds it much faster; else float32. The trial is of torch's products. It holds
    for OpenVINO too, which runs those of the same library. Raises ModelError.
    """
    if wanted == "auto":
        if quantized:
            return Precision(torch.float32, "what int8 leaves in floating point stays in it")
        return _auto_on_gpu(device) if device.type == "cuda" else _auto_on_cpu()
    if wanted == "float16" and device.type == "cpu":
        raise ModelError(f"{source}: dtype float16 needs a GPU; use auto, bfloat16 or float32")
    if wanted == "bfloat16" and device.type == "cuda" and _capability(device)[0] < _BFLOAT16:
        raise ModelError(f"{source}: this GPU has no bfloat16 ({_named(device)}); use dtype float16 or float32")
    return Precision(_DTYPES[wanted], "it was asked for")


def _auto_on_gpu(device: torch.device) -> Precision:
    major = _capability(device)[0]
    if major >= _BFLOAT16:
        return Precision(torch.bfloat16, f"this GPU multiplies fast in it ({_named(device)})")
    if major >= _HALF:  # T4, V100: eight times the speed of float32
        return Precision(torch.float16, f"this GPU multiplies fast in it, and has no bfloat16 ({_named(device)})")
    return Precision(torch.float32, f"this GPU is not faster in less ({_named(device)})")


def _auto_on_cpu() -> Precision:
    if not _cpu_has_bfloat16():
        return Precision(torch.float32, "this CPU has no instructions for bfloat16")
    ratio = bfloat16_speedup()
    if ratio >= MARGIN:
        return Precision(torch.bfloat16, f"its products are {ratio:.2f} times as fast as float32's on this CPU")
    return Precision(
        torch.float32,
        f"bfloat16's products are {ratio:.2f} times as fast on this CPU, and {MARGIN:g} is the least that pays",
    )


def _capability(device: torch.device) -> tuple[int, int]:
    return torch.cuda.get_device_capability(device)


def _named(device: torch.device) -> str:
    return "compute capability {}.{}".format(*_capability(device))


def _cpu_has_bfloat16() -> bool:
    """Without any of these instructions bfloat16 is slower than float32; with them it may be faster."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(check() for name in checks if (check := getattr(torch.cpu, name, None)) is not None)
