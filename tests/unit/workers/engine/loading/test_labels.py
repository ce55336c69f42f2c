"""Labels in config.json: each id has one name of its own."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labelstream.workers.engine.description import TaskName
from labelstream.workers.engine.loading.labels import id2label_of
from labelstream.workers.engine.loading.loader import load
from labelstream.workers.engine.options import ModelOptions
from tests.support.models import build, edit_config
from tests.support.refused import refusal

Folders = Callable[[str], Path]


def test_labels_must_name_each_id(copied: Path) -> None:
    edit_config(copied, id2label={"0": "a", "1": "b", "3": "c"}, label2id={"a": 0, "b": 1, "c": 3})
    assert "must name the ids 0..2" in refusal(copied)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"id2label": ["a", "b", "c"]}, "id2label in config.json is a list; it must be a mapping such as"),
        ({"label2id": ["a", "b", "c"]}, "label2id in config.json is a list; it must be a mapping such as"),
        ({"id2label": {"a": 0, "b": 1, "c": 2}}, "id2label in config.json has the key 'a', which is not a number"),
        ({"id2label": {"0": "a", "1": "b"}, "num_labels": 3}, "num_labels in config.json is 3, but id2label names 2"),
        ({"id2label": {"0": "a", "1": "a", "2": "c"}}, "gives the ids 0 and 1 the same name 'a'"),
    ],
)
def test_mappings_that_transformers_misreads_are_named(copied: Path, changes: dict[str, Any], problem: str) -> None:
    edit_config(copied, **changes)
    assert problem in refusal(copied)


def test_labels_that_no_task_reads_are_not_checked(folders: Folders, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders("bert"), tmp_path / "masked"))
    edit_config(folder, id2label={"0": "a", "1": "a"}, num_labels=3)
    assert load(str(folder), ModelOptions(device="cpu", task=TaskName.FILL_MASK))[0].mask is not None


def test_zero_shot_needs_no_label2id(tmp_path: Path) -> None:
    folder = build(tmp_path / "nli", "bert", labels=("contradiction", "neutral", "entailment"))
    edit_config(folder, label2id=None)
    found = load(str(folder), ModelOptions(device="cpu", task=TaskName.ZERO_SHOT))[0].zero_shot
    assert found is not None
    assert (found.entailment_id, found.contradiction_id) == (2, 0)


def test_label2id_alone_names_the_labels(tmp_path: Path) -> None:
    folder = build(tmp_path / "nli", "bert", labels=("contradiction", "neutral", "entailment"))
    edit_config(folder, id2label=None)
    description = load(str(folder), ModelOptions(device="cpu", task=TaskName.ZERO_SHOT))[0]
    assert description.labels == ("contradiction", "neutral", "entailment")
    assert description.zero_shot is not None
    assert description.zero_shot.entailment_id == 2


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"label2id": {"a": 0, "b": "1"}}, {0: "a", 1: "b"}),
        ({"label2id": {"a": 0}, "id2label": {"0": "x"}}, None),
        ({"label2id": {"a": None}}, None),
        ({"label2id": {}}, None),
        ({}, None),
    ],
)
def test_id2label_of_inverts_a_lone_label2id(config: dict[str, Any], expected: Any) -> None:
    assert id2label_of(config) == expected
