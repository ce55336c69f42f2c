"""Text, pair and label of rows, by the user's fields, GLUE's, or the defaults."""

from typing import Any

import pytest

from labelstream.deploy.cli.evaluation.fields import ExampleReader, FieldNames, json_object
from labelstream.workers.errors import EvaluationError
from labelstream.workers.evaluation.examples import Examples
from labelstream.workers.evaluation.metrics.glue import TASKS


def read(*rows: dict[str, Any], names: FieldNames = FieldNames(), glue: str = "") -> Examples:  # noqa: B008
    reader = ExampleReader(names, TASKS[glue] if glue else None)
    for number, row in enumerate(rows, 1):
        reader.add(f"f:{number}", row)
    return reader.examples("f")


def test_default_fields() -> None:
    found = read({"text": "a", "label": 1}, {"text": "b", "text_pair": "c", "label": "x", "more": 1})
    assert found == Examples([("a", None), ("b", "c")], [1, "x"], ["f:1", "f:2"], [])


def test_dotted_paths_and_names_with_dots() -> None:
    names = FieldNames("event.message", "event.title", "true.label")
    found = read({"event": {"message": "a", "title": "t"}, "true.label": 0}, names=names)
    assert (found.texts, found.gold) == ([("a", "t")], [0])


def test_cell_in_brackets_is_a_list() -> None:
    assert read(*({"text": "a", "label": cell} for cell in ('["x", "y"]', "[]", "[x"))).gold == [["x", "y"], [], "[x"]


@pytest.mark.parametrize(
    ("task", "row"),
    [
        ("sst2", {"sentence": "a", "label": 1}),
        ("mnli", {"premise": "a", "hypothesis": "b", "label": 1}),
        ("mnli", {"sentence1": "a", "sentence2": "b", "gold_label": 1}),
        ("qqp", {"question1": "a", "question2": "b", "is_duplicate": 1}),
        ("mrpc", {"#1 String": "a", "#2 String": "b", "Quality": 1}),
        ("rte", {"text": "a", "text_pair": "b", "label": 1}),
    ],
    ids=["sst2", "mnli-hub", "mnli-files", "qqp-files", "mrpc-files", "default"],
)
def test_glue_data_sets_have_their_own_fields(task: str, row: dict[str, Any]) -> None:
    found = read(row, glue=task)
    assert (found.texts, found.gold) == ([("a", None if task == "sst2" else "b")], [1])


@pytest.mark.parametrize(
    ("names", "glue", "first"),
    [
        (FieldNames(None, "pair"), "", {"text": "a", "pair": None, "label": 1}),
        (FieldNames("a.text", "a.b.pair", "a.label"), "", {"a": {"text": "a", "b": None, "label": 1}}),
        (FieldNames(), "rte", {"sentence1": "a", "sentence2": None, "label": 1}),
    ],
    ids=["pair", "path", "glue"],
)
def test_null_pair_of_the_first_row_is_no_pair(names: FieldNames, glue: str, first: dict[str, Any]) -> None:
    found = read(first, names=names, glue=glue)
    assert (found.texts, found.gold) == ([("a", None)], [1])


def test_null_label_of_the_first_row_is_named() -> None:
    with pytest.raises(EvaluationError, match=r"no label at label; correct or remove the row"):
        read({"text": "a", "label": None})


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (FieldNames(), r"no field 'text'; the row has body, stars; name the field with --text-field"),
        (FieldNames("body"), r"no field 'label'; .* with --label-field"),
        (FieldNames("body", "title", "stars"), r"no field 'title'; .* with --text-pair-field"),
    ],
    ids=["text", "label", "pair"],
)
def test_missing_field_shows_those_that_there_are(names: FieldNames, said: str) -> None:
    with pytest.raises(EvaluationError, match=f"^f:1: {said}$"):
        read({"body": "a", "stars": 5}, names=names)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"label": 1}, "no text at text; correct or remove the row"),
        ({"text": "a"}, "no label at label; correct or remove the row"),
        ({"text": "a", "label": " "}, "no label at label; correct or remove the row"),
        ({"text": "a", "label": float("nan")}, "no label at label; correct or remove the row"),
        ({"text": "a", "label": ["x", None]}, "the list at label has an item that is no label; correct the row"),
        ({"text": "a", "label": '["x", ["y"]]'}, "the list at label has an item that is no label; correct the row"),
        ({"text": 5, "label": 1}, "the value at text is not a string; correct the row"),
        ({"text": "a", "text_pair": ["b"], "label": 1}, "the value at text_pair is not a string; correct the row"),
        ({"text": "a", "label": {"x": 1}}, "the value at label is an object; name its field with --label-field"),
    ],
    ids=["text", "label", "empty-label", "nan", "null-item", "list-item", "number", "pair", "object"],
)
def test_broken_row_is_named(row: dict[str, Any], said: str) -> None:
    with pytest.raises(EvaluationError, match=f"^f:2: {said}$"):
        read({"text": "a", "label": 1}, row)


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (b'{"text": "a", "label": 1, "label": 0}', "label"),
        (b'{"text": "a", "text": "a", "label": 1}', "text"),
        (b'{"text": "a", "text_pair": "b", "text_pair": "c", "label": 1}', "text_pair"),
    ],
)
def test_repeated_key_that_is_read_is_refused(line: bytes, path: str) -> None:
    for rows in ([line], [b'{"text": "a", "label": 1}', line]):
        with pytest.raises(EvaluationError, match=rf"^f:{len(rows)}: duplicate key on the path of {path}; correct or"):
            read(*(json_object(row) or {} for row in rows))


def test_repeated_key_on_a_path_is_refused() -> None:
    row = json_object(b'{"a": {"text": "a"}, "a": {"text": "b"}, "label": 1}') or {}
    with pytest.raises(
        EvaluationError, match=r"^f:1: duplicate key on the path of a\.text; correct or remove the row$"
    ):
        read(row, names=FieldNames("a.text"))


def test_repeated_key_that_is_not_read_does_no_harm() -> None:
    found = read(json_object(b'{"text": "a", "label": 1, "more": {"b": 1, "b": 2}, "id": 1, "id": 2}') or {})
    assert (found.texts, found.gold) == ([("a", None)], [1])


def test_blank_text_is_left_out() -> None:
    found = read({"text": " \n", "label": 1}, {"text": "a", "text_pair": "", "label": 1})
    assert (found.texts, found.left_out) == ([("a", None)], ["f:1: the text is empty or blank"])


def test_no_examples_is_an_error() -> None:
    with pytest.raises(EvaluationError, match=r"^f: no rows; give labeled texts$"):
        read()
    with pytest.raises(EvaluationError, match=r"^f: no text can be evaluated; f:1: the text is empty or blank; give"):
        read({"text": "", "label": 1})
