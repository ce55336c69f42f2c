"""`labelstream classify`: input, output and tasks."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from labelstream.workers.classifier import Prediction, Request
from labelstream.workers.engine.engine import Engine
from tests.support.models import LABELS, build
from tests.unit.deploy.cli.conftest import Run, fails


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(build(tmp_path_factory.mktemp("model")))


def test_classify_arguments(run: Run, model: str) -> None:
    ended = run("classify", "good", "tab\there\x1b[31m", "--model", model, "--top-k", "2")
    assert ended.code == 0
    assert re.search(rf"model: {re.escape(model)}, revision dir-\w+, b?float(16|32) on (cpu|cuda)\n", ended.err)
    first, second = ended.out.splitlines()
    assert {cell.split()[0] for cell in first.split("\t")[:2]} == set(LABELS)
    assert first.endswith("\tgood")
    assert second.endswith("\ttab\\there\\x1b[31m"), "control characters never reach a terminal"


def test_classify_lines_of_stdin_as_json(run: Run, model: str, stdin: Callable[[bytes], None]) -> None:
    mark = b"\xef\xbb\xbf"  # of each of two files
    stdin(mark + b"good\r\n\n \n" + mark + 'Ärger \\ "quoted"\n\xff\n'.encode("latin-1"))
    ended = run("classify", "-", "--json", "--model", model)
    answers = [json.loads(line) for line in ended.out.splitlines()]
    assert [answer["text"] for answer in answers] == ["good", '\ufffdrger \\ "quoted"', "\ufffd"]
    assert all(answer["label"] in LABELS and 0 <= answer["score"] <= 1 for answer in answers)
    assert [len(answer["scores"]) for answer in answers] == [1, 1, 1]


def test_classify_with_labels_is_zero_shot(run: Run, tmp_path_factory: pytest.TempPathFactory) -> None:
    model = str(build(tmp_path_factory.mktemp("nli"), labels=("entailment", "neutral", "contradiction")))
    ended = run("classify", "good", "-m", model, "-l", "one", "-l", "two", "--template", "So {}.", "-k", "2", "--json")
    (answer,) = map(json.loads, ended.out.splitlines())
    assert {score["label"] for score in answer["scores"]} == {"one", "two"}


def test_objects_are_answered_with_their_options(run: Run, model: str, tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text('{"text":"good","text_pair":"bad bad","top_k":2}\n{"text":"good","top_k":"2"}\n{"text":"good"}\n')
    ended = run("classify", "-i", str(file), "--json", "-m", model)
    with Engine.load(model) as engine:
        (wanted,) = engine.classify([Request("good", "bad bad", top_k=2)])
    first, refused, last = map(json.loads, ended.out.splitlines())
    assert isinstance(wanted, Prediction)
    assert [(one["label"], one["score"]) for one in first["scores"]] == list(
        zip(wanted.labels, wanted.scores, strict=True)
    )
    assert first["tokens"] == wanted.tokens > last["tokens"]
    assert (refused["error"], len(last["scores"])) == ("invalid_message", 1)
    assert "line 2: top_k: Input should be a valid integer, not a string\n" in ended.err
    assert ended.code == 1


@pytest.mark.parametrize(("task", "architecture"), [("fill-mask", "ForMaskedLM"), ("feature-extraction", "Model")])
def test_classify_by_another_task(run: Run, tmp_path: Path, task: str, architecture: str) -> None:
    model = str(build(tmp_path / "model", "bert", architecture=architecture))
    told = run("classify", "so [MASK]", "-m", model)
    assert told.code == 1
    assert f"--task {task}" in told.err
    ended = run("classify", "so [MASK]", "-m", model, "--task", task, "--json", "-k", "3")
    (answer,) = map(json.loads, ended.out.splitlines())
    if task == "fill-mask":
        assert [len(fills) for fills in answer["masks"]] == [3]
        ended = run("classify", "none", "so [MASK]", "-m", model, "--task", task)
        assert ended.code == 1
        assert ended.out.startswith("! invalid_message\tnone\n")
        assert len(ended.out.splitlines()) == 2
        assert "text 1: " in ended.err
        assert ended.err.endswith("\n1 of 2 texts could not be classified\n")
    else:
        assert len(answer["embedding"]) > 8


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (("--revision", "v1"), "--revision"),
        (("--template", "So {}."), "--template"),
        (("--task", "fill-mask"), "--task"),
        (("--task", "fill-mask", "-m", "m", "-l", "one"), "--task"),
        (("--input", "file"), "--input: unexpected beside texts"),
        (("--text-field", "a"), "--text-field: names a column or field of a file"),
    ],
)
def test_classify_refuses_contradicting_options(run: Run, arguments: tuple[str, ...], key: str) -> None:
    fails(run("classify", "text", *arguments), 2, key)


def test_classify_refuses_a_list_of_texts(run: Run) -> None:
    ended = run("classify", "-i", "-", "--text-field", "l[*].b")
    fails(ended, 2, "--text-field: l[*].b names a list, and each line has one text")


def test_classify_a_table_into_a_table(run: Run, model: str, tmp_path: Path) -> None:
    table, answers = tmp_path / "a.csv.gz", tmp_path / "b.csv"
    table.write_bytes(gzip.compress(b"id,review\n1,good\n2,\n3,bad\n"))
    ended = run("classify", "-i", str(table), "--text-field", "review", "-o", str(answers), "-m", model)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.splitlines()[1:] == [
        "line 3: the text is empty or blank",
        f"2 texts classified, written to {answers}",
        "1 of 3 texts could not be classified",
    ]
    header, first, second, third = answers.read_text().splitlines()
    assert (header, second) == ("id,review,label,score,error", "2,,,,invalid_message")
    assert first.startswith("1,good,")
    assert third.startswith("3,bad,")


def test_classify_json_lines_of_stdin(run: Run, model: str, stdin: Callable[[bytes], None]) -> None:
    stdin(b'{"id": 1, "a": {"b": "good"}}\n')
    ended = run("classify", "-i", "-", "--text-field", "a.b", "--json", "-m", model)
    assert ended.code == 0
    answer = json.loads(ended.out)
    assert (answer["id"], answer["a"]) == (1, {"b": "good"})
    assert answer["label"] in LABELS


def test_classify_names_unreadable_file(run: Run, tmp_path: Path) -> None:
    fails(run("classify", "-i", str(tmp_path / "none")), 2, "none: cannot be read (No such file or directory)")
