"""OpenVINO is imported without its telemetry, and is not needed."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from labelstream.workers.engine.backends.openvino import runtime

Folders = Callable[[str], Path]


IMPORTED = """
import sys
if sys.argv[2] == "without":
    sys.modules["openvino"] = None
from labelstream.workers.engine.loading.loader import load
from labelstream.workers.engine.options import ModelOptions
_, backend = load(sys.argv[1], ModelOptions(device="cpu", dtype="float32"))
print(type(backend).__name__, sys.modules.get("openvino_telemetry", "not imported"))
"""


@pytest.mark.parametrize(("how", "said"), [("with", "OpenVINOBackend None"), ("without", "TorchBackend not imported")])
def test_openvino_sends_no_telemetry_and_is_optional(
    model_folder: Folders, tmp_path: Path, how: str, said: str
) -> None:
    command = [sys.executable, "-c", IMPORTED, str(model_folder("distilbert")), how]
    home = {"HOME": str(tmp_path), "HF_ASSETS_CACHE": str(tmp_path / "assets"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280, env=home)
    assert done.stdout.split("\n")[0] == said, done.stderr
    assert not (tmp_path / "intel").exists()  # the folder that telemetry would create


def test_missing_package_names_the_first_missing() -> None:
    assert runtime.missing_package("json", "no_such_package", "nor_this") == "no_such_package"
    assert runtime.missing_package("json", "logging") is None


@pytest.mark.parametrize(("able", "expected"), [(["FP32", "BF16"], torch.bfloat16), (["FP32"], torch.float32)])
def test_computes_bfloat16_only_if_the_cpu_has_it(
    monkeypatch: pytest.MonkeyPatch, able: list[str], expected: torch.dtype
) -> None:
    monkeypatch.setattr(runtime, "core", lambda: SimpleNamespace(get_property=lambda *_: able))
    assert runtime.computes(torch.bfloat16) is expected
    assert runtime.computes(torch.float32) is torch.float32
