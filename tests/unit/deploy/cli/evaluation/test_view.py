"""The tables of an evaluation, in 80 columns."""

import re
from dataclasses import replace

import numpy as np
import pytest
from rich.cells import cell_len

from labelstream.deploy.cli.evaluation.candidates import Candidate
from labelstream.deploy.cli.evaluation.results import Evaluated, Results
from labelstream.deploy.cli.evaluation.view import show
from labelstream.workers.evaluation.comparison import compare
from labelstream.workers.evaluation.examples import Duplicates
from labelstream.workers.evaluation.metrics.measure import measure
from labelstream.workers.evaluation.predictions import Predictions
from tests.support.evaluated import multi_label, regression, single_label


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def results(*models: Predictions) -> Results:
    places = [f"d.csv:{i + 2}" for i in range(len(models[0]))]
    evaluated = [
        Evaluated(Candidate(f"m{i}", "m", {}), "rev", "float32", "cpu", one, measure(one, resamples=20), places)
        for i, one in enumerate(models)
    ]
    others = [compare(models[0], other) for other in models[1:]]
    return Results("d.csv", [], Duplicates(0, 0, 0), evaluated, others)


@pytest.mark.parametrize(
    "predictions",
    [
        single_label(),
        single_label(labels=tuple(f"a rather long label {i}" for i in range(6))),
        multi_label(),
        regression(),
    ],
    ids=["3-labels", "6-long-labels", "multi", "numbers"],
)
def test_tables_fit_80_columns(predictions: Predictions, capsys: pytest.CaptureFixture[str]) -> None:
    show(results(predictions))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[:2] == ["m0, revision rev, float32 on cpu", "300 texts of d.csv"]


@pytest.mark.parametrize(
    "label", ["a rather long label of the model", "ein-" * 8, "名" * 20], ids=["words", "word", "wide"]
)
def test_long_labels_cut_no_number(label: str, capsys: pytest.CaptureFixture[str]) -> None:
    predictions = single_label(n=12_000, labels=(label, "b", "c"))
    show(results(predictions))
    text = capsys.readouterr().out
    assert max(map(cell_len, text.splitlines())) <= 80
    one = measure(predictions, resamples=0).per_label[0]
    shares = (one.precision, one.recall, one.f1, one.roc_auc, one.average_precision)
    numbers = r"\s+".join([*(f"{share:.4f}" for share in shares), f"{one.texts:,}", f"{one.predicted:,}"])
    assert re.search(rf"{label[:3]}\S.*…\s+{numbers} *$", text, re.MULTILINE)


def test_many_labels_show_the_worst_and_what_is_confused(capsys: pytest.CaptureFixture[str]) -> None:
    predictions = single_label(n=900, labels=tuple(f"l{i:02d}" for i in range(30)))
    show(results(predictions))
    text = capsys.readouterr().out
    assert "the 20 of 30 labels with the lowest F1; --json has all" in text
    assert "the 10 most frequent confusions; --json has all" in text
    assert "true \\ predicted" not in text


def test_comparison_names_models_by_letters(capsys: pytest.CaptureFixture[str]) -> None:
    first = single_label()
    second = replace(first, scores=np.roll(first.scores, 1, axis=1))
    show(results(first, second, first))
    text = capsys.readouterr().out
    assert "A: m0, revision rev, float32 on cpu\nB: m1" in text
    assert "A and B differ for 300 of 300 texts" in text
    assert "the first 10; --json has all 300" in text
    assert "A and C differ for 0 of 300 texts" in text
    assert "A alone is right for 0, C alone for 0; McNemar's exact test: p = 1" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_labels_by_number_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    found = results(single_label(), single_label(), single_label())
    by_number = [{0: "a", 1: "b"}, {0: "a", 1: "b"}, {}]
    models = [one._replace(by_number=numbers) for one, numbers in zip(found.models, by_number, strict=True)]
    show(found._replace(models=models))
    assert "labels matched by number of m0, m1: 0 = a, 1 = b; --label-map changes that\n" in capsys.readouterr().out
    many = found.models[0]._replace(by_number={i: f"l{i}" for i in range(12)})
    show(found._replace(models=[many], comparisons=[]))
    assert "labels matched by number: 0 = l0, 1 = l1" in (text := capsys.readouterr().out)
    assert "9 = l9 and 2 more; --label-map changes that\n" in text


def test_foreign_text_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    first = single_label(n=5)
    first = replace(first, texts=[("so\x1b[31m", None)] * 5)
    show(results(first, replace(first, scores=np.roll(first.scores, 1, axis=1))))
    text = capsys.readouterr().out
    assert "\\x1b[31m" in text
    assert "\x1b[31m" not in text
