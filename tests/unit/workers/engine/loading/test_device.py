"""The device and dtype that "auto" chooses, without a GPU and without measuring time."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from labelstream.workers.engine.loading import device
from labelstream.workers.errors import ModelError
from tests.support.refused import refusal

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool, float | None], None]:
    """Fakes a CPU, with or without bfloat16 instructions, and the result of its trial; None: no trial may run."""

    def pretend(has: bool, ratio: float | None) -> None:
        def found() -> float:
            assert ratio is not None, "no trial was to be made"
            return ratio

        monkeypatch.setattr(device, "_cpu_has_bfloat16", lambda: has)
        monkeypatch.setattr(device, "bfloat16_speedup", found)

    return pretend


def gpu(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (0.65, torch.float32),
        (1.0, torch.float32),
        (1.49, torch.float32),
        (1.5, torch.bfloat16),
        (8.0, torch.bfloat16),
    ],
)
def test_auto_on_cpu_is_bfloat16_if_clearly_faster(
    cpu: Callable[[bool, float | None], None], caplog: pytest.LogCaptureFixture, ratio: float, expected: torch.dtype
) -> None:
    cpu(True, ratio)
    with caplog.at_level(logging.INFO):
        assert device.dtype_for("m", "auto", CPU) is expected
    assert f"m: dtype auto is {device.name_of(expected)}: " in caplog.text
    assert f"products are {ratio:.2f} times as fast" in caplog.text


def test_cpu_without_bfloat16_is_not_measured(
    cpu: Callable[[bool, float | None], None], caplog: pytest.LogCaptureFixture
) -> None:
    cpu(False, None)
    with caplog.at_level(logging.INFO):
        assert device.dtype_for("m", "auto", CPU) is torch.float32
    assert "m: dtype auto is float32: this CPU has no instructions for bfloat16" in caplog.text


@pytest.mark.parametrize("has", [True, False])
def test_explicit_bfloat16_is_not_measured(
    cpu: Callable[[bool, float | None], None], caplog: pytest.LogCaptureFixture, has: bool
) -> None:
    cpu(has, None)
    with caplog.at_level(logging.INFO):
        assert device.dtype_for("m", "bfloat16", CPU) is torch.bfloat16
    assert ("no bfloat16 instructions, so float32 would be faster" in caplog.text) == (not has)
    assert "dtype auto" not in caplog.text


def test_int8_means_float32_without_a_measurement(cpu: Callable[[bool, float | None], None]) -> None:
    cpu(True, None)
    assert device.dtype_for("m", "auto", CPU, quantized=True) is torch.float32
    assert device.dtype_for("m", "bfloat16", CPU, quantized=True) is torch.bfloat16  # and is not used


def test_precision_has_a_reason_without_logging(
    cpu: Callable[[bool, float | None], None], caplog: pytest.LogCaptureFixture
) -> None:
    cpu(True, 2.0)
    with caplog.at_level(logging.INFO):
        found = device.precision_for("m", "auto", CPU)
    assert found.name == "bfloat16"
    assert found.why == "its matrix products are 2.00 times as fast as float32's on this CPU"
    assert device.precision_for("m", "float32", CPU) == (torch.float32, "set by dtype")
    assert not caplog.text


@pytest.mark.parametrize(
    ("capability", "expected"),
    [
        ((6, 1), torch.float32),
        ((7, 0), torch.float16),
        ((7, 5), torch.float16),
        ((8, 0), torch.bfloat16),
        ((8, 9), torch.bfloat16),
        ((9, 0), torch.bfloat16),
        ((12, 0), torch.bfloat16),
    ],
)
def test_auto_on_a_gpu_follows_its_compute_capability(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capability: tuple[int, int],
    expected: torch.dtype,
) -> None:
    gpu(monkeypatch, capability)
    with caplog.at_level(logging.INFO):
        assert device.dtype_for("m", "auto", CUDA) is expected
    assert f"m: dtype auto is {device.name_of(expected)}: " in caplog.text
    assert "compute capability {}.{}".format(*capability) in caplog.text


@pytest.mark.parametrize("capability", [(6, 1), (7, 5)])
def test_bfloat16_is_refused_on_a_gpu_without_it(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]) -> None:
    gpu(monkeypatch, capability)
    with pytest.raises(ModelError, match=r"m: this GPU has no bfloat16 .*; set dtype to float16 or float32"):
        device.dtype_for("m", "bfloat16", CUDA)
    assert device.dtype_for("m", "float16", CUDA) is torch.float16
    assert device.dtype_for("m", "float32", CUDA) is torch.float32


def test_bfloat16_is_used_on_a_gpu_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu(monkeypatch, (8, 0))
    assert device.dtype_for("m", "bfloat16", CUDA) is torch.bfloat16


def test_float16_on_a_cpu_is_refused(copied: Path) -> None:
    assert "needs a GPU" in refusal(copied, dtype="float16")


def test_cuda_without_a_gpu_is_refused(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "torch finds no GPU" in refusal(copied, device="cuda")
    assert device.device_for("m", "auto").type == "cpu"
