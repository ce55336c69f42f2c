"""Outputs of a model, and pickling of its description."""

import pickle
from dataclasses import replace

from labelstream.workers.engine.description import Activation, Keep, TaskName
from tests.support.fake_backend import DESCRIPTION


def test_outputs_are_dimensions_or_labels() -> None:
    assert DESCRIPTION.outputs == 5
    assert replace(DESCRIPTION, labels=(), dimensions=32).outputs == 32


def test_description_survives_pickle() -> None:
    assert pickle.loads(pickle.dumps(DESCRIPTION)) == DESCRIPTION


def test_enum_names_are_plain_strings() -> None:
    assert [f"{name}" for name in (TaskName.ZERO_SHOT, Keep.HEAD_TAIL, Activation.NONE)] == [
        "zero-shot-classification",
        "head_tail",
        "none",
    ]
