"""What the benchmarks are made of, and one of them in short on a small model."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer
from typer.testing import CliRunner

from labelstream.deploy.bench.harness.texts import texts_for
from labelstream.deploy.bench.measures.flops import Flops, matmul_peak
from labelstream.deploy.cli.main import app
from labelstream.workers.engine.loading import device
from labelstream.workers.engine.tokenization.synthetic_texts import make_texts
from labelstream.workers.errors import ConfigError
from tests.support.fake_handle import description as described
from tests.support.models import FAMILIES, TEXTS, build, make_tokenizer


@pytest.mark.parametrize("family", FAMILIES)
def test_made_up_texts_have_the_lengths_that_were_asked_for(family: str) -> None:
    tokenizer: Tokenizer = make_tokenizer(family).backend_tokenizer
    tokenizer.no_truncation()
    texts = make_texts(tokenizer, 2_000, 32)
    lengths = np.array([len(tokenizer.encode(text).ids) for text in texts])
    assert lengths.mean() == pytest.approx(32, rel=0.1)
    assert np.log(lengths).std() == pytest.approx(0.6, rel=0.2)
    assert texts == make_texts(tokenizer, 2_000, 32)


def test_no_text_comes_twice(tmp_path: Path) -> None:
    description, file = described(), tmp_path / "texts"
    file.write_text("a\n\n  \nb\na\nc\n")
    assert texts_for(description, file, 5, 8) == ["a", "b", "c", "a 1", "b 1"]
    assert texts_for(description, file, 2, 8) == ["a", "b"]
    made = texts_for(description, None, 300, 4)
    assert len(set(made)) == len(made) == 300
    file.write_text("a\na 1\n")
    assert texts_for(description, file, 5, 8) == ["a", "a 1", "a 1 1", "a 2", "a 1 2"]
    file.write_text("\n")
    with pytest.raises(ConfigError, match="has no text"):
        texts_for(description, file, 2, 8)
    with pytest.raises(ConfigError, match="cannot be read"):
        texts_for(description, tmp_path / "missing", 2, 8)


def test_flops_are_those_of_the_linear_layers_and_of_attention() -> None:
    width, hidden, layers, labels = 32, 64, 2, 3
    config = transformers.DistilBertConfig(vocab_size=50, dim=width, hidden_dim=hidden, n_layers=layers, n_heads=4)
    config.num_labels = labels
    model = transformers.DistilBertForSequenceClassification(config).eval()
    lengths = np.array([5, 17, 200], np.int32)
    per_token = 2 * layers * (4 * width * width + 2 * width * hidden)
    attention = 4 * layers * width  # scores, and their sums of values
    head = 2 * (width * width + width * labels)
    expected = sum(per_token * n + attention * n * n + head for n in lengths.tolist())
    assert Flops(model, 512).of(lengths) == pytest.approx(expected, rel=1e-6)
    # Of the last layer: queries, sums, their product, and what follows, for one token instead of all.
    for_one = 2 * (2 * width * width + 2 * width * hidden)
    less = sum(for_one * (n - 1) + 4 * width * (n * n - n) for n in lengths.tolist())
    assert Flops(model, 512, narrowed=True).of(lengths) == pytest.approx(expected - less, rel=1e-6)
    assert Flops(model, 512).of(lengths) == pytest.approx(expected, rel=1e-6)  # the model is as it was


def test_a_peak_is_a_speed() -> None:
    assert matmul_peak(torch.device("cpu"), torch.float32) > 1e8


def test_the_engine_beside_the_pipeline(tmp_path: Path) -> None:
    model, texts, figures = build(tmp_path / "model"), tmp_path / "texts", tmp_path / "figures.json"
    texts.write_text("\n".join(TEXTS))
    command = [
        "bench",
        "engine",
        "-m",
        str(model),
        "--texts",
        str(texts),
        "--count",
        "40",
        "--rounds",
        "1",
        "--device",
        "cpu",
        "--dtype",
        "float32",
        "--json",
        str(figures),
    ]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    found = json.loads(figures.read_text())
    assert found["engine"]["texts_per_s"] > 0
    assert (found["engine"]["dtype"], found["engine"]["dtype_why"]) == ("float32", "it was asked for")
    assert "dtype auto" not in done.output
    assert 0 < found["engine"]["mfu"] < 1
    assert 0 <= found["engine"]["padding_waste"] < 0.5
    assert found["pipeline"]["default_texts_per_s"] > 0
    assert found["pipeline"]["same_dtype_texts_per_s"] > 0
    assert found["texts"]["count"] == 40
    assert [way["way"] for way in found["ways"]] == ["engine", "pipeline, same dtype", "pipeline, its defaults"]
    for way in found["ways"]:
        assert way["latency_ms"]["p99"] >= way["latency_ms"]["p50"] > 0
        assert way["cpu_us_per_message"] > 0
    assert "what limits: " in done.output
    assert "pipeline, same dtype" in done.output


def test_zero_shot_beside_its_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_cpu_has_bfloat16", lambda: False)
    model = build(tmp_path / "model", labels=("contradiction", "neutral", "entailment"))
    figures = tmp_path / "figures.json"
    command = [
        "bench",
        "engine",
        "-m",
        str(model),
        "--count",
        "12",
        "--rounds",
        "1",
        "--device",
        "cpu",
        "--dtype",
        "auto",
        "--task",
        "zero-shot-classification",
        "--labels",
        "refund, delivery,praise",
        "--json",
        str(figures),
    ]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    found = json.loads(figures.read_text())
    assert (found["texts"]["count"], found["texts"]["sequences"]) == (12, 36)
    assert (found["engine"]["dtype"], found["engine"]["dtype_why"]) == (
        "float32",
        "this CPU has no instructions for bfloat16",
    )
    assert "dtype auto is float32: this CPU has no instructions for bfloat16" in done.output
    assert found["engine"]["texts_per_s"] > 0
    assert found["pipeline"]["same_dtype_texts_per_s"] > 0


@pytest.mark.parametrize(
    "wrong",
    [
        ["--task", "zero-shot-classification"],
        ["--labels", "a,b"],
        ["--task", "fill-mask"],
    ],
)
def test_labels_and_zero_shot_go_together(wrong: list[str]) -> None:
    done = CliRunner().invoke(app, ["bench", "engine", *wrong])
    assert isinstance(done.exception, ConfigError)


def test_the_backends_side_by_side(tmp_path: Path) -> None:
    model, texts, figures = build(tmp_path / "model"), tmp_path / "texts", tmp_path / "figures.json"
    texts.write_text("\n".join(TEXTS))
    command = [
        "bench",
        "backends",
        "-m",
        str(model),
        "--texts",
        str(texts),
        "--count",
        "40",
        "--rounds",
        "1",
        "--dtype",
        "float32",
        "--json",
        str(figures),
    ]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    found = json.loads(figures.read_text())["backends"]
    assert {name: way["dtype"] for name, way in found.items()} == {
        "torch": "float32",
        "openvino": "float32",
        "openvino int8": "int8",
    }
    assert all(way["texts_per_s"] > 0 for way in found.values())
    assert found["torch"]["of_torch"] == found["torch"]["agreement"] == found["openvino"]["agreement"] == 1
    assert 0.5 < found["openvino int8"]["agreement"] <= 1
