"""DeBERTa's position buckets from a table equal the computed ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.models.deberta_v2 import modeling_deberta_v2

from labelstream.workers.engine.backends.openvino.deberta_positions import tabled


def test_tabled_buckets_are_equal_and_function_is_restored(model_folder: Callable[[str], Path]) -> None:
    model: Any = transformers.AutoModelForSequenceClassification.from_pretrained(model_folder("deberta-v2"))
    original = modeling_deberta_v2.make_log_bucket_position
    config, distances = model.config, torch.arange(-64, 65).reshape(3, 43)
    expected = original(distances, config.position_buckets, config.max_position_embeddings)
    with tabled(model, 64):
        looked_up = modeling_deberta_v2.make_log_bucket_position
        assert looked_up is not original
        assert torch.equal(looked_up(distances, config.position_buckets, config.max_position_embeddings), expected)
    assert modeling_deberta_v2.make_log_bucket_position is original


def test_tabled_leaves_other_models_unchanged(model_folder: Callable[[str], Path]) -> None:
    model: Any = transformers.AutoModelForSequenceClassification.from_pretrained(model_folder("bert"))
    original = modeling_deberta_v2.make_log_bucket_position
    with tabled(model, 64):
        assert modeling_deberta_v2.make_log_bucket_position is original
