"""The engine's benchmark on a small model, and its texts and ratios."""

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from typer.testing import CliRunner

from labelstream.deploy.bench.suites.engine import BEST, limit, ratios
from labelstream.deploy.cli.main import app
from labelstream.workers.engine.loading import device
from labelstream.workers.engine.tokenization.synthetic_texts import make_texts
from tests.support.models import FAMILIES, TEXTS, build, make_tokenizer


@pytest.mark.parametrize("family", FAMILIES)
def test_synthetic_texts_have_wanted_lengths(family: str) -> None:
    tokenizer: Tokenizer = make_tokenizer(family).backend_tokenizer
    tokenizer.no_truncation()
    texts = make_texts(tokenizer, 2_000, 32)
    lengths = np.array([len(tokenizer.encode(text).ids) for text in texts])
    assert lengths.mean() == pytest.approx(32, rel=0.1)
    assert np.log(lengths).std() == pytest.approx(0.6, rel=0.2)
    assert texts == make_texts(tokenizer, 2_000, 32)


def test_headline_is_the_ratio_to_the_better_pipeline_of_each_round() -> None:
    rounds = [
        {"engine": 12.0, "same": 4.0, "default": 6.0},
        {"engine": 12.0, "same": 3.0, "default": 2.0},
        {"engine": 12.0, "same": 1.0, "default": 4.0},
    ]
    assert ratios(rounds, compute_the_same=True) == {BEST: 3.0}
    assert ratios(rounds, compute_the_same=False) == {"pipeline, same dtype": 4.0, "pipeline, its defaults": 3.0}


@pytest.mark.parametrize(
    ("tokenizing", "mfu", "said"),
    [
        (0.51, 0.01, "tokenizer: takes 51% of the time on one core"),
        (0.2, 0.01, "overhead: MFU is 0.01 and tokenizing takes 20% of the time; "),
        (0.2, 0.1, "device: tokenizing takes 20% of the time, the model the rest"),
    ],
)
def test_bottleneck_is_named(tokenizing: float, mfu: float, said: str) -> None:
    assert limit(tokenizing, mfu).startswith(said)


def test_engine_beside_pipeline_has_all_figures(tmp_path: Path) -> None:
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
    assert (found["engine"]["dtype"], found["engine"]["dtype_why"]) == ("float32", "set by dtype")
    assert "dtype auto" not in done.output
    assert 0 < found["engine"]["mfu"] < 1
    assert 0 <= found["engine"]["padding_waste"] < 0.5
    assert found["pipeline"]["default_texts_per_s"] > 0
    assert found["pipeline"]["same_dtype_texts_per_s"] > 0
    assert found["texts"]["count"] == 40
    assert list(found["ratios"]) == [f"engine / {BEST}"], "both compute in float32"
    assert [way["way"] for way in found["ways"]] == ["engine", "pipeline, same dtype", "pipeline, its defaults"]
    for way in found["ways"]:
        assert way["latency_ms"]["p99"] >= way["latency_ms"]["p50"] > 0
        assert way["cpu_us_per_message"] > 0
    assert "bottleneck: " in done.output
    assert "pipeline, same dtype" in done.output


def test_zero_shot_beside_pipeline_has_all_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
