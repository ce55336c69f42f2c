"""What the texts of options mean."""

from pathlib import Path

import pytest

from labelstream.deploy.cli.evaluation.options import check_outputs, pairs_of, split_labels, zero_shot_options
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


def test_label_map_splits_at_the_last_sign() -> None:
    assert pairs_of(["pos=POSITIVE", "a=b=c"]) == {"pos": "POSITIVE", "a=b": "c"}
    for wrong in ("pos", "=a", "a="):
        with pytest.raises(ConfigError, match=r"^--label-map: .* is not DATA=MODEL; for example pos=POSITIVE$"):
            pairs_of([wrong])


def test_label_map_with_two_labels_of_the_model_is_refused() -> None:
    assert pairs_of(["a=A", "a=A"]) == {"a": "A"}
    with pytest.raises(ConfigError, match=r"^--label-map: 'a' has two labels of the model; give each"):
        pairs_of(["a=A", "a=B"])


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
