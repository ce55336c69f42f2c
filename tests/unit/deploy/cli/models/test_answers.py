"""The formats of `classify`'s answers."""

import json

from labelstream.deploy.cli.models.answers import as_cells, as_columns, as_fields, as_json, as_tabs, beside
from labelstream.deploy.cli.models.texts import of_argument
from labelstream.workers.classifier import Embedding, Fault, Fill, MaskFill, Prediction, RecordError

TWO = Prediction(("GOOD", "BAD"), (0.75, 0.25), 3, False, "r")
MASKS = MaskFill(((Fill("a", 1, 0.5),), (Fill("b", 2, 0.25),)), 4, True, "r")
VECTOR = Embedding((0.5, -1.0), 2, False, "r")
REFUSED = RecordError(Fault.INVALID_MESSAGE, "no mask")
TEXT = of_argument(1, "so\tgood")


def test_fields_are_those_of_the_task() -> None:
    assert as_fields(TWO) == {
        "label": "GOOD",
        "score": 0.75,
        "scores": [{"label": "GOOD", "score": 0.75}, {"label": "BAD", "score": 0.25}],
        "tokens": 3,
        "truncated": False,
    }
    assert [len(fills) for fills in as_fields(MASKS)["masks"]] == [1, 1]
    assert as_fields(VECTOR)["embedding"] == (0.5, -1.0)
    assert as_fields(REFUSED) == {"error": "invalid_message", "message": "no mask"}


def test_cells_are_best_first() -> None:
    assert as_cells(TWO) == {"label": "GOOD", "score": "0.75", "label_2": "BAD", "score_2": "0.25"}
    assert as_cells(MASKS) == {"label": "a", "score": "0.5", "label_2": "b", "score_2": "0.25"}
    assert as_cells(VECTOR) == {"embedding": "[0.5, -1.0]"}
    assert as_cells(REFUSED) == {"error": REFUSED.fault.value}


def test_added_name_that_is_taken_is_renamed() -> None:
    assert beside({"id": 1, "label": "gold"}, {"label": "GOOD", "score": 1}) == {
        "id": 1,
        "label": "gold",
        "predicted_label": "GOOD",
        "score": 1,
    }


def test_views_are_safe_for_a_terminal() -> None:
    assert as_tabs(TEXT, TWO) == "GOOD 0.7500\tBAD 0.2500\tso\\tgood"
    assert as_tabs(TEXT, REFUSED) == "! invalid_message\tso\\tgood"
    assert as_tabs(TEXT, VECTOR) == "0.5\t-1\tso\\tgood"
    assert as_columns(TEXT, MASKS) == f"{'a 0.5000':<20}  {'b 0.2500':<20}  so\\tgood"
    assert json.loads(as_json(TEXT, TWO))["text"] == "so\tgood"
