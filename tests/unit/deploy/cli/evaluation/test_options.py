"""What the texts of options mean."""

import pytest

from labelstream.deploy.cli.evaluation.options import pairs_of, split_labels, zero_shot_options
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
