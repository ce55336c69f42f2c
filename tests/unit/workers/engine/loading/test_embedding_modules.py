"""sentence-transformers repositories: their vectors, and the names of unsupported steps."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from labelstream.workers.classifier import Embedding, Request
from labelstream.workers.engine.engine import Engine
from labelstream.workers.engine.loading.embedding_modules import EmbeddingModules, modules_of
from tests.support.models import TEXTS, build, make_tokenizer
from tests.support.refused import refusal

NORMALIZE = ("2_Normalize", "Normalize")
LONG = [*TEXTS, "not bad at all really " * 8]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return build(tmp_path / "model", "bert", architecture="Model")


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))


def listed(folder: Path, *more: tuple[str, str], pooling: dict[str, Any] | None = None, first: str = "") -> None:
    steps = [(first, "Transformer"), ("1_Pooling", "Pooling"), *more]
    write(
        folder / "modules.json",
        [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (path, kind) in enumerate(steps)
        ],
    )
    write(folder / "1_Pooling" / "config.json", pooling or {"pooling_mode_mean_tokens": True})


def vectors(folder: Path, **options: Any) -> np.ndarray[Any, Any]:
    with Engine.load(str(folder), task="feature-extraction", device="cpu", dtype="float32", **options) as engine:
        answers = engine.classify([Request(text) for text in LONG])
    return np.array([answer.vector for answer in answers if isinstance(answer, Embedding)])


def as_sentence_transformers(folder: Path, pooling: str, normalize: bool, length: int) -> np.ndarray[Any, Any]:
    """The steps of sentence-transformers: `Transformer`, `Pooling` and `Normalize`."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    given = tokenizer(LONG, padding=True, truncation=True, max_length=length, return_tensors="pt")
    with torch.inference_mode():
        hidden = model(**given).last_hidden_state
        mask = given["attention_mask"].unsqueeze(-1).float()
        found = hidden[:, 0] if pooling == "cls" else (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
        return (torch.nn.functional.normalize(found, p=2, dim=1) if normalize else found).numpy()


@pytest.mark.parametrize(
    ("pooling", "given"),
    [
        ("cls", {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}),
        ("mean", {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}),
        ("cls", {"embedding_dimension": 32, "pooling_mode": "cls"}),
    ],
)
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_vectors_follow_the_repository(
    repository: Path, pooling: str, given: dict[str, Any], normalize: bool, backend: str
) -> None:
    listed(repository, *([NORMALIZE] if normalize else []), pooling=given)
    write(repository / "sentence_bert_config.json", {"max_seq_length": 16, "do_lower_case": False})
    expected = as_sentence_transformers(repository, pooling, normalize, 16)
    assert vectors(repository, backend=backend) == pytest.approx(expected, abs=1e-5)


def test_options_override_the_repository(repository: Path) -> None:
    listed(repository, NORMALIZE)
    write(repository / "sentence_bert_config.json", {"max_seq_length": 16})
    found = vectors(repository, pooling="cls", normalize=False, max_length=24, backend="torch")
    assert found == pytest.approx(as_sentence_transformers(repository, "cls", False, 24), abs=1e-5)


def test_without_modules_json_pooling_is_mean(repository: Path) -> None:
    assert modules_of("m", repository, None) == EmbeddingModules("mean", False, None)
    assert vectors(repository, backend="torch") == pytest.approx(
        as_sentence_transformers(repository, "mean", False, 64), abs=1e-5
    )


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ({"more": [("2_Dense", "Dense")]}, "modules.json has the steps Transformer, Pooling, Dense"),
        (
            {"more": [NORMALIZE, ("3_WordWeights", "WordWeights")]},
            "Transformer, Pooling, Normalize, WordWeights",
        ),
        ({"first": "0_Transformer"}, "the model is in the folder 0_Transformer; name it as source"),
        ({"pooling": {"pooling_mode_max_tokens": True}}, "1_Pooling/config.json has the pooling max"),
        ({"pooling": {"pooling_mode_lasttoken": True}}, "has the pooling lasttoken"),
        ({"pooling": {"pooling_mode": ["mean", "max"]}}, "has the pooling mean and max"),
    ],
)
def test_unsupported_step_is_named(repository: Path, how: dict[str, Any], problem: str) -> None:
    listed(repository, *how.pop("more", ()), **how)
    assert problem in refusal(repository, task="feature-extraction")


def test_unsupported_settings_are_named(repository: Path) -> None:
    listed(repository)
    settings = {"prompts": {"query": "query: ", "none": ""}, "default_prompt_name": "query"}
    write(repository / "config_sentence_transformers.json", settings)
    assert "puts the prompt 'query' before each text" in refusal(repository, task="feature-extraction")
    write(repository / "config_sentence_transformers.json", {**settings, "default_prompt_name": "none"})
    write(repository / "sentence_bert_config.json", {"do_lower_case": True})
    assert modules_of("m", repository, make_tokenizer("bert")) == EmbeddingModules(prompts=settings["prompts"])
    make_tokenizer("bert", cased=True).save_pretrained(repository)
    assert "do_lower_case is true" in refusal(repository, task="feature-extraction")
    write(repository / "sentence_bert_config.json", {"transformer_task": "any-to-any"})
    assert "transformer_task is any-to-any" in refusal(repository, task="feature-extraction")


def test_prompts_outside_of_the_vector_are_left_out(repository: Path) -> None:
    write(repository / "config_sentence_transformers.json", {"prompts": {"query": "query: "}})
    listed(repository, pooling={"pooling_mode_mean_tokens": True, "include_prompt": False})
    assert modules_of("m", repository, make_tokenizer("bert")).prompts == {}


@pytest.mark.parametrize("broken", [{}, [1], [{"type": "a.Transformer"}], None])
def test_unreadable_modules_json_is_model_error(repository: Path, broken: Any) -> None:
    write(repository / "modules.json", broken)
    message = refusal(repository, task="feature-extraction")
    assert "modules.json" in message


def test_missing_step_is_model_error(repository: Path) -> None:
    listed(repository)
    (repository / "1_Pooling" / "config.json").unlink()
    assert "download the whole repository again" in refusal(repository, task="feature-extraction")


def test_other_tasks_ignore_modules_json(tmp_path: Path) -> None:
    folder = build(tmp_path / "cross", "bert")
    write(folder / "modules.json", [])
    with Engine.load(str(folder), device="cpu") as engine:
        assert engine.classify([Request("good")])
