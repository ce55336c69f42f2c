"""The section of a model: contradictory options."""

from typing import Any

import pytest

from labelstream.workers.config_file import load_settings
from labelstream.workers.errors import ConfigError
from tests.support.config_tree import tree


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": "summarization"}, "task"),
        ({"candidate_labels": ["a"]}, "candidate_labels has no effect with task text-classification"),
        ({"multi_label": True}, "multi_label has no effect"),
        ({"task": "zero-shot-classification", "problem_type": "regression"}, "problem_type has no effect"),
        ({"task": "zero-shot-classification", "candidate_labels": ["a", "a"]}, "candidate_labels repeat"),
        ({"task": "zero-shot-classification", "candidate_labels": [" "]}, "must not be blank"),
        ({"task": "zero-shot-classification", "long_text": "windows"}, "long_text windows needs task"),
        ({"task": "fill-mask", "threshold": 0.5}, "threshold has no effect with task fill-mask"),
        ({"task": "feature-extraction", "temperature": 2.0}, "temperature has no effect with task feature-extraction"),
        ({"temperature": 0}, "must be at least 0.01; null means 1"),
        ({"task": "feature-extraction", "top_k": 3}, "top_k has no effect with task feature-extraction"),
        ({"pooling": "cls"}, "pooling has no effect"),
        ({"normalize": True}, "normalize has no effect"),
        ({"stride": 5}, "no effect with long_text truncate"),
        ({"aggregate": "max"}, "no effect with long_text"),
        ({"quantize": "int8", "backend": "torch"}, "quantize needs OpenVINO: set backend"),
        ({"quantize": "int8", "device": "cuda"}, "need a CPU: set device to cpu"),
        ({"backend": "openvino", "dtype": "float16"}, "need a CPU: set device to cpu"),
        ({"min_agreement": 0.5}, "no effect without quantize"),
        ({"calibration_texts": "texts"}, "no effect without quantize"),
        ({"quantize": "int8", "task": "fill-mask"}, "quantize has no effect with task fill-mask"),
        ({"attention": "packed"}, "models.sentiment.attention: was removed: a GPU runs sequences without padding"),
        ({"cuda_graphs": True}, "models.sentiment.cuda_graphs: was removed: .*; remove the key"),
        ({"threshold": 1.5}, "must be at most 1"),
        ({"thresholds": {"a": -1}}, "must be at least 0"),
    ],
)
def test_contradictory_model_options_are_refused(change: dict[str, Any], words: str) -> None:
    config = tree()
    config["models"]["sentiment"] |= change
    with pytest.raises(ConfigError, match=words):
        load_settings(config)
