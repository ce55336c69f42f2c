"""What the texts of options mean."""

from pathlib import Path

import pytest

from labelstream.deploy.cli.evaluation.options import (
    check_outputs,
    check_pairs,
    pairs_of,
    split_labels,
    zero_shot_options,
)
from labelstream.workers.errors import ConfigError


def test_labels_are_split_at_commas() -> None:
    assert split_labels(" bill, parcel ,,") == ["bill", "parcel"]
    assert split_labels(None) == []


def test_zero_shot_options_of_labels() -> None:
    assert zero_shot_options([], None, False) == {}
    assert zero_shot_options(["a"], "So {}.", True) == {
        "task": "zero-shot-classification",
        "candidate_labels": ("a",),
        "hypothesis_template": "So {}.",
        "multi_label": True,
    }
    with pytest.raises(ConfigError, match=r"^--multi-label: is for zero-shot; add labels with --labels$"):
        zero_shot_options([], None, True)


@pytest.mark.parametrize(
    ("pair", "labels", "wanted"),
    [
        ("pos=POSITIVE", ["POSITIVE"], ("pos", "POSITIVE")),
        ("a=b=c", ["c"], ("a=b", "c")),
        ("a=b=c", ["b=c", "b"], ("a", "b=c")),
        (" a = b = c ", ["b = c"], ("a", "b = c")),
        ("x>==1", ["x", "=1"], ("x>", "=1")),
        ("a=b=c", ["other"], ("a=b", "c")),
    ],
    ids=["plain", "data", "model", "spaces", "equal-signs", "unknown"],
)
def test_label_of_the_model_decides_where_a_pair_is_split(
    pair: str, labels: list[str], wanted: tuple[str, str]
) -> None:
    check_pairs([pair])
    assert pairs_of([pair], labels) == dict([wanted])


def test_pair_with_two_meanings_is_refused() -> None:
    with pytest.raises(ConfigError) as refused:
        pairs_of(["a=b=c"], ["c", "b=c"])
    assert str(refused.value) == (
        "--label-map: 'a=b=c' may map 'a' to 'b=c' or 'a=b' to 'c'; rename a label of the model with --set label_names"
    )


@pytest.mark.parametrize("wrong", ["pos", "=a", "a=", "=", " = "])
def test_item_that_is_no_pair_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"^--label-map: .* is not DATA=MODEL; for example pos=POSITIVE$"):
        check_pairs(["a=b", wrong])


def test_label_map_with_two_labels_of_the_model_is_refused() -> None:
    assert pairs_of(["a=A", "a=A"], ["A", "B"]) == {"a": "A"}
    with pytest.raises(ConfigError, match=r"^--label-map: 'a' has two labels of the model; give each"):
        pairs_of(["a=A", "a=B"], ["A", "B"])


def test_output_that_replaces_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("d.jsonl")
    one, other = (Path("a"), "--json"), (tmp_path / "a", "--predictions")
    check_outputs([one, (None, "--predictions"), (Path("b"), "--report")], "d.jsonl")
    check_outputs([(Path("/dev/null"), "--json"), (Path("/dev/null"), "--predictions")], None)
    with pytest.raises(ConfigError, match=r"^--predictions: .* is the file of --json as well; give another file$"):
        check_outputs([one, other], "-")
    with pytest.raises(ConfigError, match=r"^--json: link is the file of DATA as well; give another file$"):
        check_outputs([(Path("link"), "--json")], "d.jsonl")
