"""Names the hardware of a measurement."""

import os
import platform
from pathlib import Path

import torch


def hardware(device: torch.device) -> str:
    """The device's name; for a CPU with its cores and its instructions for bf16 and int8."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    name = next((line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")), "")
    flags = [flag for flag in ("amx_bf16", "avx512_bf16", "avx512_vnni", "avx_vnni") if f" {flag}" in info]
    return f"{os.cpu_count()} cores, {name or platform.processor()} ({', '.join(flags) or 'no bf16, no int8'})"
