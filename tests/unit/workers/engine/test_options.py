"""The options of a model are checked, and equal the settings of a config file."""

from typing import Any

import pytest
from pydantic import ValidationError

from labelstream.workers.engine.description import TaskName
from labelstream.workers.engine.engine import Engine
from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.errors import ModelError
from labelstream.workers.settings.model import ModelSettings


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"device": "tpu"}, "device.*'auto', 'cpu' or 'cuda'"),
        ({"dtype": "int8"}, "dtype.*'bfloat16' or 'float16'"),
        ({"task": "summarization"}, "task.*'text-classification', 'zero-shot-classification'"),
        ({"backend": "onnx"}, "backend.*'torch' or 'openvino'"),
        ({"quantize": "int4"}, "quantize.*'int8'"),
        ({"top_k": 0}, "top_k.*(greater than or equal to|at least) 1"),
        ({"min_agreement": 1.01}, "min_agreement.*(less than or equal to|at most) 1"),
        ({"temperature": 0}, "temperature.*(greater than or equal to|at least) 0.01"),
        ({"temperature": -1.5}, "temperature.*(greater than or equal to|at least) 0.01"),
        ({"temperature": float("inf")}, "temperature.*(less than or equal to|at most) 100"),
        ({"temperature": float("nan")}, "temperature.*(less than or equal to|at most) 100"),
        ({"speed": "high"}, "speed.*(not permitted|unknown option)"),
        ({"quantize": "int8", "backend": "torch"}, "quantize needs OpenVINO: set backend"),
        ({"backend": "openvino", "device": "cuda"}, "need a CPU: set device to cpu"),
        ({"long_text": "windows", "task": "feature-extraction"}, "needs task text-classification"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=f"(?s){problem}"):
        ModelOptions(**options)
    with pytest.raises(ModelError, match=f"^anything: .*{problem}"):
        Engine.load("anything", **options)


def test_settings_are_options_with_the_same_defaults() -> None:
    settings = ModelSettings(source="anything")
    assert {name: getattr(settings, name) for name in ModelOptions.model_fields} == dict(ModelOptions())
    assert settings.task is TaskName.TEXT_CLASSIFICATION


def test_options_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        ModelOptions().device = "cuda"  # type: ignore[misc]
