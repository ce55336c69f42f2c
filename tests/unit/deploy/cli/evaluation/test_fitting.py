"""`labelstream evaluate` fits values, says what they do, and writes a config that the settings take."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from labelstream.deploy.cli.common.arguments import DEMO_MODEL
from labelstream.deploy.cli.evaluation.candidates import Candidate
from labelstream.deploy.cli.evaluation.fitting import fitted_tree, keys_of, model_key, show_fitted, written_config
from labelstream.workers.config_file import load_settings, read_config_file
from labelstream.workers.evaluation.fitting.fit import fit
from labelstream.workers.evaluation.fitting.split import fitting_half
from labelstream.workers.evaluation.fitting.targets import Metric, Target
from labelstream.workers.settings.model import ModelSettings
from tests.support.demo_sentences import write_sentences
from tests.support.made_predictions import made_predictions
from tests.unit.deploy.cli.conftest import Run, fails

CANDIDATE = Candidate("m", "owner/My Model_2", {"temperature": 2.0, "threshold": 0.3, "task": "text-classification"})


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "reviews.jsonl"
    write_sentences(path)
    return path


def test_command_fits_and_writes_whole_files(
    run: Run, reviews: Path, tmp_path: Path, write_config: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    config = write_config(source=str(DEMO_MODEL))
    tuned, page, tree = tmp_path / "tuned.yaml", tmp_path / "report.html", tmp_path / "all.json"
    files = ("--write-config", str(tuned), "--report", str(page), "--json", str(tree))
    ended = run("evaluate", str(reviews), "-c", config, "--calibrate", "--target", "coverage=0.9", *files)
    assert ended.code == 0, ended.err
    assert max(map(len, ended.out.splitlines()[2:])) <= 80
    settings = load_settings(read_config_file(tuned))
    model = settings.models["sentiment"]
    fitted = json.loads(tree.read_text())["fitted"]
    assert fitted["keys"] == {"temperature": model.temperature, "thresholds": model.thresholds}
    assert set(model.thresholds) == {"NEGATIVE", "POSITIVE"}
    assert settings.pipelines == load_settings(read_config_file(config)).pipelines
    assert fitted["abstained"]["share"] == pytest.approx(0.1, abs=0.05)
    assert f"abstains from {fitted['abstained']['number']} of {fitted['abstained']['of']} texts" in ended.out
    half = fitting_half([(json.loads(line)["text"], None) for line in reviews.read_text().splitlines()])
    assert fitted["texts"]["fitted"] == half.sum()
    assert page.read_text().startswith("<!doctype html>")
    assert "Temperature and thresholds" in page.read_text()


def test_too_few_texts_leave_no_file(run: Run, reviews: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.jsonl"
    few.write_text("".join(reviews.read_text().splitlines(keepends=True)[:60]))
    for options, said in (
        (("--target", "precision=0.99"), "precision=0.99 needs 100"),
        (("--calibrate",), "a temperature needs 100 texts and 5 wrong ones"),
    ):
        ended = run(
            "evaluate", str(few), *options, "--write-config", str(tmp_path / "x"), "--json", str(tmp_path / "y")
        )
        assert ended.code == 1
        assert said in ended.err
        assert "eval_accuracy" in ended.out
        assert os.listdir(tmp_path) == ["few.jsonl"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--write-config", "x.yaml"), "--write-config: has nothing to write; add --calibrate or --target"),
        (("--target", "accuracy=1"), "--target: 'accuracy=1' is not METRIC=VALUE"),
        (("--calibrate", "--compare", "dtype=float32"), "--calibrate: is for one model; leave out --compare"),
        (("--target", "f1=0.9", "--compare", "dtype=float32"), "--target: is for one model; leave out --compare"),
        (("--report", "x.html", "--compare", "dtype=float32"), "--report: shows one model; leave out --compare"),
    ],
    ids=["nothing", "target", "calibrate", "thresholds", "report"],
)
def test_options_that_do_not_fit_are_refused(run: Run, options: tuple[str, ...], said: str) -> None:
    fails(run("evaluate", "data.jsonl", *options), 2, said)


@pytest.mark.parametrize("key", ["threshold=0.7", "thresholds={POSITIVE: 0.7}"])
def test_thresholds_of_another_temperature_are_refused(run: Run, key: str) -> None:
    said = f"--write-config: {key.partition('=')[0]} of the model belongs to another temperature; add --target"
    fails(run("evaluate", "data.jsonl", "--calibrate", "--write-config", "x", "--set", key), 2, said)


def test_temperature_joins_the_models_own() -> None:
    fitted = fit(made_predictions(n=1_000), True, None)
    assert fitted.temperature is not None
    assert keys_of(fitted, CANDIDATE) == {"temperature": round(fitted.temperature * 2.0, 3)}
    assert keys_of(fitted, CANDIDATE._replace(options={})) == {"temperature": fitted.temperature}


def test_section_of_a_model_has_its_options_and_no_older_thresholds() -> None:
    fitted = fit(made_predictions(n=1_000), False, Target(Metric.COVERAGE, 0.8))
    tree = yaml.safe_load(written_config(fitted, CANDIDATE, None))
    section = tree["models"]["my-model-2"]
    assert section == {
        "source": "owner/My Model_2",
        "temperature": 2.0,
        "task": "text-classification",
        "thresholds": fitted.by_label,
    }
    assert ModelSettings(**section).threshold is None


def test_section_of_a_config_keeps_the_options_of_the_command_line(write_config: Callable[..., str]) -> None:
    config = Path(write_config(source=str(DEMO_MODEL)))
    given = {"max_length": 8, "dtype": "float32"}
    candidate = Candidate("sentiment", str(DEMO_MODEL), {"threshold": 0.3, **given}, given)
    fitted = fit(made_predictions(n=1_000), False, Target(Metric.COVERAGE, 0.8))
    written = yaml.safe_load(written_config(fitted, candidate, config))["models"]["sentiment"]
    own = read_config_file(config)["models"]["sentiment"]
    assert written == {**own, **given, "thresholds": fitted.by_label}


@pytest.mark.parametrize(
    ("source", "key"), [("a/b/Model.v2/", "model-v2"), ("x" * 80, "x" * 50), ("é", "model"), ("own/it_s", "it-s")]
)
def test_key_of_a_model_is_a_name_of_the_config(source: str, key: str) -> None:
    assert model_key(source) == key


def test_labels_without_a_threshold_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    fitted = fit(made_predictions(n=300, scale=1.5), False, Target(Metric.PRECISION, 0.7))
    missing = [one for one in fitted.thresholds if one.threshold is None]
    show_fitted(fitted)
    shown = capsys.readouterr().out
    assert missing
    assert all(f"no threshold for {one.label}: {one.problem}" in shown for one in missing)
    tree = fitted_tree(fitted, {})
    assert [one["problem"] for one in tree["per_label"]] == [one.problem for one in fitted.thresholds]
    assert json.loads(json.dumps(tree)) == tree


def test_near_duplicates_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    fitted = fit(made_predictions(), False, None)
    show_fitted(fitted._replace(near=3))
    assert "3 of the judged texts share 60% of their words" in capsys.readouterr().out
    show_fitted(fitted._replace(near=None, fitting=np.array([True, False])))
    assert capsys.readouterr().out == "fitted on 1 texts, judged on 1 others\n"
