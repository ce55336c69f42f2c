from typing import Any

import pytest

from labelstream.deploy.gateway.dialects.v2.bodies import InferRequest
from labelstream.deploy.gateway.dialects.v2.outputs import metadata_of, outputs_of, requested
from labelstream.deploy.gateway.served import WrongField
from labelstream.workers.classifier import Embedding, Fill, MaskFill, Prediction
from tests.support.gateway import CLASSIFIER, EMBEDDER, MASKED, EngineServed

TEXT = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["good"]}
PREDICTIONS = [Prediction(("a", "b"), (0.75, 0.25), 3, False, "r"), Prediction(("b", "a"), (0.5, 0.5), 3, False, "r")]


def asked(*outputs: dict[str, Any], **parameters: Any) -> InferRequest:
    return InferRequest.model_validate({"inputs": [TEXT], "outputs": list(outputs), "parameters": parameters})


@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_best_labels_have_the_shape_of_the_texts(shape: list[int]) -> None:
    label, score = outputs_of(PREDICTIONS, shape, None)
    assert (label.shape, label.values) == (shape, ["a", "b"])
    assert (score.shape, score.values) == (shape, [0.75, 0.5])


def test_several_labels_have_a_row_for_each_text() -> None:
    label, score = outputs_of(PREDICTIONS, [2], 5)
    assert (label.shape, label.values) == ([2, 2], ["a", "b", "b", "a"])
    assert (score.shape, score.values) == ([2, 2], [0.75, 0.25, 0.5, 0.5])


def test_accepted_labels_beyond_top_k_are_left_out() -> None:
    uneven = [PREDICTIONS[0], Prediction(("b",), (0.5,), 3, False, "r")]
    for answers in (uneven, uneven[::-1]):
        label, score = outputs_of(answers, [2], 1)
        assert (label.shape, label.values) == ([2, 1], [answer.labels[0] for answer in answers])
        assert (score.shape, score.values) == ([2, 1], [answer.scores[0] for answer in answers])


def test_embeddings_have_a_row_for_each_text() -> None:
    (found,) = outputs_of([Embedding((1.0, 2.0), 3, False, "r")] * 2, [2, 1], None)
    assert (found.shape, found.values) == ([2, 2], [1.0, 2.0, 1.0, 2.0])


def test_fills_have_texts_masks_and_tokens() -> None:
    one = ((Fill("x", 1, 0.5), Fill("y", 2, 0.25)), (Fill("z", 3, 0.5), Fill("w", 4, 0.25)))
    label, token_id, score = outputs_of([MaskFill(one, 3, False, "r")], [1], 2)
    assert (label.shape, label.values, token_id.values) == ([1, 2, 2], ["x", "y", "z", "w"], [1, 2, 3, 4])
    assert score.values == [0.5, 0.25, 0.5, 0.25]


def test_texts_with_different_numbers_of_masks_are_refused() -> None:
    one = (Fill("x", 1, 0.5),)
    with pytest.raises(WrongField, match="the same number of masks"):
        outputs_of([MaskFill((one,), 3, False, "r"), MaskFill((one, one), 3, False, "r")], [2], None)


@pytest.mark.parametrize(
    ("model", "names"),
    [(CLASSIFIER, ["label", "score"]), (MASKED, ["label", "token_id", "score"]), (EMBEDDER, ["embedding"])],
)
def test_all_outputs_come_unless_some_are_named(served: EngineServed, model: str, names: list[str]) -> None:
    description = served.engines[model].description
    assert requested(asked(), description) == [(name, False) for name in names]
    assert requested(asked(binary_data_output=True), description) == [(name, True) for name in names]
    assert [one.name for one in metadata_of(description)] == names


def test_output_overrides_the_requests_binary_data(served: EngineServed) -> None:
    outputs = {"name": "score", "parameters": {"binary_data": False}}, {"name": "label"}
    wanted = requested(asked(*outputs, binary_data_output=True), served.engines[CLASSIFIER].description)
    assert wanted == [("score", False), ("label", True)]


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        ({"name": "logits"}, r"outputs\[0\]\.name: must be one of label, score"),
        ({"name": "label", "parameters": {"classification": 2}}, r"classification: is not supported; use"),
        ({"name": "label", "parameters": {"shared_memory_region": "r"}}, r"shared_memory_region: is not supported"),
    ],
)
def test_output_that_cannot_be_given_is_refused(served: EngineServed, output: dict[str, Any], problem: str) -> None:
    with pytest.raises(WrongField, match=problem):
        requested(asked(output), served.engines[CLASSIFIER].description)
