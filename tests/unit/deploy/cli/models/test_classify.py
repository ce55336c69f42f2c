"""`labelstream classify`: the engine's answers for a person, a pipe or a program, for each task."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.models import LABELS, build
from tests.unit.deploy.cli.conftest import Run, fails


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(build(tmp_path_factory.mktemp("model")))


def test_classify_arguments(run: Run, model: str) -> None:
    ended = run("classify", "good", "tab\there\x1b[31m", "--model", model, "--top-k", "2")
    assert ended.code == 0
    assert f"model: {model}, revision dir-" in ended.err
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


def test_classify_by_labels_of_the_call(run: Run, tmp_path_factory: pytest.TempPathFactory) -> None:
    model = str(build(tmp_path_factory.mktemp("nli"), labels=("entailment", "neutral", "contradiction")))
    ended = run("classify", "good", "-m", model, "-l", "one", "-l", "two", "--template", "So {}.", "-k", "2", "--json")
    (answer,) = map(json.loads, ended.out.splitlines())
    assert {score["label"] for score in answer["scores"]} == {"one", "two"}


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
        assert run("classify", "none", "-m", model, "--task", task).out.startswith("! ")
    else:
        assert len(answer["embedding"]) > 8


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (("--revision", "v1"), "--revision"),
        (("--template", "So {}."), "--template"),
        (("--task", "fill-mask"), "--task"),
        (("--task", "fill-mask", "-m", "m", "-l", "one"), "--task"),
    ],
)
def test_classify_options_that_do_not_go_together(run: Run, arguments: tuple[str, ...], key: str) -> None:
    fails(run("classify", "text", *arguments), 2, key)
