"""The description of a model, and the refused contradictions, without loading weights."""

from types import SimpleNamespace
from typing import Any

import pytest
import transformers

from labelstream.workers.engine.description import Activation, Keep, Mask, ModelDescription, TaskName, Windows, ZeroShot
from labelstream.workers.engine.loading.describe import activation_of, describe
from labelstream.workers.engine.options import HYPOTHESIS_TEMPLATE, ModelOptions
from labelstream.workers.errors import ModelError
from tests.support.models import make_tokenizer

NLI = ("contradiction", "neutral", "entailment")


def described(labels: tuple[str, ...] = ("a", "b", "c"), max_length: int = 64, **options: Any) -> ModelDescription:
    config = transformers.BertConfig(id2label=dict(enumerate(labels)), label2id={x: i for i, x in enumerate(labels)})
    config.vocab_size = 1_000
    return describe("m", "r", ModelOptions(**options), config, make_tokenizer("bert"), max_length)


def refusal(labels: tuple[str, ...] = ("a", "b", "c"), **options: Any) -> str:
    with pytest.raises(ModelError) as caught:
        described(labels, **options)
    return str(caught.value)


@pytest.mark.parametrize(("wanted", "most", "expected"), [(None, 3, 3), (5, 3, 3), (2, 3, 2), (1, 3, 1), (3, 3, 3)])
def test_top_k_is_at_most_the_number_of_labels(wanted: int | None, most: int, expected: int) -> None:
    assert described(tuple("abcdef"[:most]), top_k=wanted).top_k == expected


def test_zero_shot_top_k_has_no_bound_by_labels() -> None:
    assert described(NLI, task="zero-shot-classification", top_k=7).top_k == 7
    assert described(NLI, task="zero-shot-classification", top_k=None).top_k >= 10_000


@pytest.mark.parametrize(
    ("options", "ranked"),
    [
        ({}, True),
        ({"long_text": "windows"}, False),
        ({"task": "fill-mask"}, True),
        ({"task": "feature-extraction"}, False),
        ({"task": "zero-shot-classification"}, False),
    ],
)
def test_ranked_is_false_for_tasks_that_need_all_scores(options: dict[str, Any], ranked: bool) -> None:
    assert described(NLI, **options).ranked is ranked


@pytest.mark.parametrize(
    ("options", "windows"),
    [
        ({}, None),
        ({"long_text": "windows"}, Windows(16, "mean", 32)),
        ({"long_text": "windows", "stride": 0, "aggregate": "max", "max_windows": 3}, Windows(0, "max", 3)),
        ({"long_text": "windows", "stride": 32}, Windows(32, "mean", 32)),
    ],
)
def test_windows_follow_the_options(options: dict[str, Any], windows: Windows | None) -> None:
    assert described(**options).windows == windows


def test_stride_above_half_of_max_length_is_refused() -> None:
    assert "stride 33 is more than half of max_length (64)" in refusal(long_text="windows", stride=33)


@pytest.mark.parametrize(
    ("wanted", "side", "keep"),
    [
        (None, "left", Keep.TAIL),
        (None, "right", Keep.HEAD),
        ("head", "left", Keep.HEAD),
        ("head_tail", "right", "head_tail"),
    ],
)
def test_keep_follows_options_then_tokenizer(wanted: Any, side: str, keep: str) -> None:
    tokenizer = make_tokenizer("bert")
    tokenizer.truncation_side = side
    config = transformers.BertConfig()
    config.num_labels = 2
    assert describe("m", "r", ModelOptions(truncate=wanted), config, tokenizer, 64).keep == keep


@pytest.mark.parametrize(
    ("labels", "entailment", "contradiction"),
    [
        (NLI, 2, 0),
        (("entailment", "neutral", "contradiction"), 0, 2),
        (("no", "ENTAILS"), 1, 0),
        (("Entailment", "not_entailment"), 0, 1),
        (("x", "entail", "y", "z"), 1, 0),
    ],
)
def test_nli_label_ids_follow_from_the_labels(labels: tuple[str, ...], entailment: int, contradiction: int) -> None:
    found = described(labels, task="zero-shot-classification", candidate_labels=("x",), multi_label=True).zero_shot
    assert found == ZeroShot(entailment, contradiction, ("x",), HYPOTHESIS_TEMPLATE, True)


@pytest.mark.parametrize("template", ["", "x", "{", "}", "{}{", "{} {}", "}{", "{x}", "{0}", "}{}{"])
def test_hypothesis_template_needs_exactly_one_place(template: str) -> None:
    assert "must hold {} exactly once" in refusal(NLI, task="zero-shot-classification", hypothesis_template=template)


def test_zero_shot_needs_entailment_and_another_label() -> None:
    for labels in (("a", "b"), ("entailment",), ("no_entailment", "x")):
        assert "a model of natural language inference" in refusal(labels, task="zero-shot-classification")


def test_fill_mask_without_mask_token_is_refused() -> None:
    description = described(task="fill-mask", top_k=None)
    tokenizer = make_tokenizer("bert")
    assert description.mask == Mask("[MASK]", tokenizer.mask_token_id, tokenizer.pad_token_id)
    assert description.activation is Activation.SOFTMAX
    assert len(description.labels) == description.top_k == 1_000
    assert description.labels[5:8] == tuple(tokenizer.decode([i]) for i in (5, 6, 7))
    assert description.labels[len(tokenizer) - 1] != ""
    assert set(description.labels[len(tokenizer) :]) == {""}
    tokenizer.mask_token = None
    with pytest.raises(ModelError, match="has no mask_token"):
        describe("m", "r", ModelOptions(task=TaskName.FILL_MASK), transformers.BertConfig(), tokenizer, 64)


def test_embedding_has_dimensions_and_no_labels() -> None:
    description = described(task="feature-extraction", normalize=True)
    assert (description.labels, description.dimensions, description.outputs) == ((), 768, 768)
    assert (description.normalize, description.activation) == (True, Activation.NONE)
    assert described().dimensions == 0
    assert described().outputs == 3


def test_thresholds_need_known_labels_and_bounded_scores() -> None:
    both = described(threshold=0.5, thresholds={"a": 0.1, "c": 0.2})
    assert (both.threshold, both.thresholds) == (0.5, {"a": 0.1, "c": 0.2})
    assert "need scores from 0 to 1" in refusal(problem_type="regression", threshold=0.0)
    assert "need scores from 0 to 1" in refusal(problem_type="regression", thresholds={"a": 0.5})
    assert described(problem_type="regression").threshold is None
    assert refusal(thresholds={"z": 1.0}).endswith("its labels are a, b, c")
    assert refusal(tuple("abcdefghij"), thresholds={"z": 1.0}).endswith("its labels are a, b, c, d, e, f, g, h, i, j")
    assert refusal(tuple("abcdefghijk"), thresholds={"z": 1.0}).endswith("i, j and more")
    # Zero-shot's labels come with the messages, so none is unknown; and its scores are from 0 to 1.
    assert described(NLI, task="zero-shot-classification", thresholds={"z": 0.3}).thresholds == {"z": 0.3}


def test_temperature_needs_scores_from_0_to_1() -> None:
    assert described().temperature == 1.0
    assert described(temperature=1.7).temperature == 1.7
    assert described(problem_type="multi_label_classification", temperature=0.5).temperature == 0.5
    assert described(NLI, task="zero-shot-classification", temperature=3).temperature == 3.0
    assert "temperature needs scores from 0 to 1" in refusal(problem_type="regression", temperature=1.0)
    for task in ("fill-mask", "feature-extraction"):
        said = f"temperature has no effect with task {task}: remove temperature, or set another task"
        assert said in refusal(task=task, temperature=2.0)


def test_config_without_labels_uses_function_to_apply() -> None:
    config: Any = SimpleNamespace(problem_type=None, num_labels=0)
    assert activation_of(config) is Activation.NONE
    assert activation_of(config, "single_label_classification") is Activation.SOFTMAX
    config.function_to_apply = "sigmoid"
    assert activation_of(config) is Activation.SIGMOID


@pytest.mark.parametrize("names", [None, {}, {0: "a", 1: "b"}, {0: "a", 1: "b", 3: "c"}, {1: "a", 2: "b", 3: "c"}])
def test_id2label_must_name_every_id(names: dict[int, str] | None) -> None:
    config: Any = SimpleNamespace(id2label=names, num_labels=3, problem_type=None)
    with pytest.raises(ModelError, match=r"must name the ids 0\.\.2"):
        describe("m", "r", ModelOptions(), config, make_tokenizer("bert"), 64)


def test_labels_are_in_the_order_of_their_ids() -> None:
    config: Any = SimpleNamespace(id2label={2: "c", 0: "a", 1: 7}, num_labels=3, problem_type=None)
    assert describe("m", "r", ModelOptions(), config, make_tokenizer("bert"), 64).labels == ("a", "7", "c")


def labelled(names: dict[Any, Any], label2id: Any = None, task: str = "text-classification") -> ModelDescription:
    config: Any = SimpleNamespace(id2label=names, label2id=label2id, num_labels=len(names), problem_type=None)
    return describe("m", "r", ModelOptions(task=TaskName(task)), config, make_tokenizer("bert"), 64)


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ({0: "a", 1: "b", 2: "a"}, "gives the ids 0 and 2 the same name .a.*give each id its own name"),
        ({0: "1", 1: 1}, "gives the ids 0 and 1 the same name .1."),
        ({0: "a", 1: None}, "has None for the id 1; write a name"),
        ({0: "", 1: "b"}, "has '' for the id 0; write a name that is not empty"),
        ({0: " \t", 1: "b"}, "write a name that is not empty"),
        ({0: ["a"], 1: "b"}, "write a name that is not empty"),
        ({0: True, 1: "b"}, "write a name that is not empty"),
        ({0: "a", 2: "b"}, r"the ids 0\.\.1, each once; .* 0, 2"),
    ],
)
def test_ambiguous_label_names_are_refused(names: dict[Any, Any], problem: str) -> None:
    with pytest.raises(ModelError, match=f"^m: id2label in config.json .*{problem}"):
        labelled(names)


ENTAILS = dict(enumerate(NLI))


@pytest.mark.parametrize("label2id", [None, {}, {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}, {"entailment": "2"}])
def test_missing_label2id_entry_follows_from_id2label(label2id: Any) -> None:
    found = labelled(ENTAILS, label2id, "zero-shot-classification").zero_shot
    assert found is not None
    assert (found.entailment_id, found.contradiction_id) == (2, 0)


@pytest.mark.parametrize(
    ("label2id", "problem"),
    [
        ({"entailment": 0}, "label2id and id2label in config.json disagree on the id of 'entailment': 0 and 2"),
        ({"entailment": 3}, r"label2id in config.json has 3 for 'entailment'; it must be one of the ids 0\.\.2"),
        ({"entailment": None}, "label2id in config.json has None"),
        ({"entailment": -1}, "label2id in config.json has -1"),
    ],
)
def test_wrong_label2id_is_named(label2id: Any, problem: str) -> None:
    with pytest.raises(ModelError, match=problem):
        labelled(ENTAILS, label2id, "zero-shot-classification")


def test_describe_failure_is_model_error() -> None:
    config: Any = SimpleNamespace(id2label={0: "a", "x": "b"}, num_labels=2, problem_type=None)
    for broken in (SimpleNamespace(), config):
        with pytest.raises(ModelError, match=r"m: its config\.json and tokenizer cannot be read .* save"):
            describe("m", "r", ModelOptions(), broken, make_tokenizer("bert"), 64)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"problem_type": "regression", "num_labels": 3}, Activation.NONE),
        ({"problem_type": "multi_label_classification", "num_labels": 3}, Activation.SIGMOID),
        ({"num_labels": 1}, Activation.SIGMOID),
        ({"num_labels": 2}, Activation.SOFTMAX),
        ({"problem_type": "single_label_classification", "num_labels": 2}, Activation.SOFTMAX),
        (
            {"num_labels": 2, "function_to_apply": "none"},
            Activation.SOFTMAX,
        ),  # as in the pipeline, which ignores function_to_apply here
    ],
)
def test_activation_follows_the_config(settings: dict[str, Any], expected: Activation) -> None:
    assert activation_of(transformers.BertConfig(**settings)) is expected


def test_renamed_labels_have_thresholds_of_their_new_names() -> None:
    found = described(label_names={"a": "info", "c": "error"}, thresholds={"info": 0.4, "b": 0.9})
    assert (found.labels, found.thresholds) == (("info", "b", "error"), {"info": 0.4, "b": 0.9})
    assert "thresholds names 'a'" in refusal(label_names={"a": "info"}, thresholds={"a": 0.4})


def test_new_names_tell_labels_apart() -> None:
    assert "label_names: 'x' is no label of the model; name one of a, b, c" in refusal(label_names={"x": "y"})
    assert "two labels are called 'b'" in refusal(label_names={"a": "b"})
    assert described(label_names={"a": "b", "b": "a"}).labels == ("b", "a", "c")


def test_order_of_scores_is_an_option() -> None:
    assert described(scores_order="model").in_model_order
    assert not described().in_model_order
