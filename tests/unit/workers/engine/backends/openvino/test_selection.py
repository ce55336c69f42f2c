"""When OpenVINO is tried, when it is refused, and when torch runs the model instead."""

from typing import Any

import pytest
import torch

from labelstream.workers.engine.backends.openvino import selection
from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.errors import ModelError


def test_openvino_on_a_gpu_is_refused() -> None:
    gpu = torch.device("cuda")
    for asked, named in (
        (ModelOptions(backend="openvino"), "backend openvino"),
        (ModelOptions(quantize="int8"), "quantize int8"),
    ):
        with pytest.raises(ModelError, match=f"{named} needs a CPU, and the device is cuda; set device to cpu"):
            selection.takes_openvino("m", asked, gpu)
    assert not selection.takes_openvino("m", ModelOptions(), gpu)


CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("backend", "missing", "taken"), [("auto", None, True), ("auto", "x", False), ("torch", None, False)]
)
def test_auto_uses_openvino_if_installed(
    monkeypatch: pytest.MonkeyPatch, backend: Any, missing: str | None, taken: bool
) -> None:
    monkeypatch.setattr(selection, "missing_package", lambda *names: missing)
    assert selection.takes_openvino("m", ModelOptions(backend=backend), CPU) is taken


def test_openvino_without_the_package_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "missing_package", lambda *names: names[-1])
    given: list[tuple[dict[str, Any], str]] = [({"backend": "openvino"}, "openvino"), ({"quantize": "int8"}, "nncf")]
    for asked, named in given:
        with pytest.raises(ModelError, match=f"needs the package {named}, which is not installed"):
            selection.takes_openvino("m", ModelOptions(**asked), CPU)


def test_unconvertible_is_an_error_if_openvino_is_set(caplog: pytest.LogCaptureFixture) -> None:
    error = selection.Unconvertible("no such operator")
    selection.fall_back_to_torch("m", ModelOptions(), error)
    assert "m: using torch, because OpenVINO cannot run this model as torch does: no such operator" in caplog.text
    with pytest.raises(ModelError, match="no such operator; set backend to torch"):
        selection.fall_back_to_torch("m", ModelOptions(backend="openvino"), error)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "Check 'false' failed at src/report.cpp:151:\nFailed operations:\n-- aten::cat with a message:\n"
            "no\n\nSummary:\n-- Conversion is failed for: SequenceMark, aten::cat\n",
            "conversion is failed for: SequenceMark, aten::cat",
        ),
        ("-- No conversion rule found for operations: aten::x", "no conversion rule found for operations: aten::x"),
        ("other\nwords", "RuntimeError: other"),
    ],
)
def test_unconverted_operations_are_named(text: str, said: str) -> None:
    assert selection.unconverted(RuntimeError(text)) == said
