"""Which device and which precision: what "auto" means, and what is refused."""

import logging

import torch

from workers.errors import ModelError

logger = logging.getLogger(__name__)

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def device_for(source: str, wanted: str) -> torch.device:
    """`wanted`: "auto" (the GPU where there is one) | "cpu" | "cuda". Raises ModelError."""
    if wanted not in ("auto", "cpu", "cuda"):
        raise ModelError(f"{source}: device {wanted!r} is unknown; use auto, cpu or cuda")
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise ModelError(f"{source}: device cuda, but torch sees no GPU; use device auto or cpu, or check the driver")
    return torch.device("cuda" if available and wanted != "cpu" else "cpu")


def dtype_for(source: str, wanted: str, device: torch.device) -> torch.dtype:
    """`wanted`: "auto" (bfloat16 where the hardware computes it, else float32) or a name. Raises ModelError."""
    fast = torch.cuda.is_bf16_supported(False) if device.type == "cuda" else _cpu_has_bfloat16()
    if wanted == "auto":
        return torch.bfloat16 if fast else torch.float32
    if wanted not in _DTYPES:
        raise ModelError(f"{source}: dtype {wanted!r} is unknown; use auto, float32, bfloat16 or float16")
    if wanted == "float16" and device.type == "cpu":
        raise ModelError(f"{source}: dtype float16 needs a GPU; use auto, bfloat16 or float32")
    if wanted == "bfloat16" and not fast:
        if device.type == "cuda":
            raise ModelError(f"{source}: this GPU has no bfloat16; use dtype float16 or float32")
        logger.warning("%s: this CPU has no bfloat16 instructions; float32 is faster here", source)
    return _DTYPES[wanted]


def _cpu_has_bfloat16() -> bool:
    """bfloat16 pays on a CPU only with these instructions; without them it is slower than float32."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(check() for name in checks if (check := getattr(torch.cpu, name, None)) is not None)
