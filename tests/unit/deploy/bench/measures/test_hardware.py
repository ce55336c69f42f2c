"""The names of hardware."""

import os
from pathlib import Path

import pytest
import torch

from labelstream.deploy.bench.measures import hardware as module
from labelstream.deploy.bench.measures.hardware import hardware

CPU = torch.device("cpu")


def of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, info: str | None) -> str:
    path = tmp_path / "cpuinfo"
    if info is not None:
        path.write_text(info)
    monkeypatch.setattr(module, "Path", lambda name: path)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    return hardware(CPU)


def test_cpu_is_named_with_its_fast_instructions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    info = "processor : 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t: fpu avx512_vnni amx_bf16\n"
    assert of(monkeypatch, tmp_path, info) == "4 cores, Some CPU @ 2 GHz (amx_bf16, avx512_vnni)"


def test_cpu_without_fast_instructions_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert of(monkeypatch, tmp_path, "model name : Old\nflags : fpu\n") == "4 cores, Old (no bf16, no int8)"


def test_unknown_cpu_has_its_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert of(monkeypatch, tmp_path, None).startswith("4 cores, ")


def test_gpu_is_named_by_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"name of {device}")
    assert hardware(torch.device("cuda", 1)) == "name of cuda:1"
