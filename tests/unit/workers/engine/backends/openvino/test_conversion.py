"""A converted model has named inputs, and the torch model does not change."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from labelstream.workers.engine.backends.openvino import conversion
from labelstream.workers.engine.backends.pytorch.heads import Logits


@pytest.mark.parametrize(
    ("types", "targets", "names"),
    [
        (False, False, ("input_ids", "attention_mask")),
        (True, False, ("input_ids", "attention_mask", "token_type_ids")),
        (True, True, ("input_ids", "attention_mask", "token_type_ids", "targets")),
    ],
)
def test_input_names_are_those_that_the_model_takes(types: bool, targets: bool, names: tuple[str, ...]) -> None:
    assert conversion.input_names(types, targets) == names


def test_conversion_names_inputs_and_leaves_model_and_log(model_folder: Callable[[str], Path]) -> None:
    model: Any = transformers.AutoModelForSequenceClassification.from_pretrained(model_folder("distilbert")).eval()
    read, names = Logits(model), ("input_ids", "attention_mask")
    root = logging.getLogger()
    level, handlers, hooks = root.level, root.handlers[:], len(model.base_model._forward_hooks)
    converted = conversion.convert(model, read, names, 64)
    assert [port.get_any_name() for port in converted.inputs] == list(names)
    assert (root.level, root.handlers) == (level, handlers)
    assert len(model.base_model._forward_hooks) == hooks


def test_traced_output_is_nan_if_hidden_states_are(model_folder: Callable[[str], Path]) -> None:
    model: Any = transformers.AutoModelForSequenceClassification.from_pretrained(model_folder("distilbert")).eval()
    traced = conversion.Traced(model, Logits(model), ("input_ids", "attention_mask"))
    ids, mask = torch.full((2, 4), 7), torch.ones(2, 4, dtype=torch.int64)
    with torch.inference_mode():
        assert traced(ids, mask).isfinite().all()
        model.get_input_embeddings().weight[9] = float("nan")
        ids[1] = 9
        assert traced(ids, mask).isfinite().all(1).tolist() == [True, False]
    traced.let_go()
