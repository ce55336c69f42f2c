"""Labels of the data become indexes of the model's labels, or an error that shows both."""

from typing import Any

import pytest

from labelstream.workers.errors import EvaluationError
from labelstream.workers.evaluation.examples import Examples
from labelstream.workers.evaluation.gold import gold_of
from labelstream.workers.evaluation.predictions import Kind

LABELS = ("NEGATIVE", "POSITIVE")


def examples(*gold: Any) -> Examples:
    return Examples([("t", None)] * len(gold), gold, [f"f.csv:{i + 2}" for i in range(len(gold))])


def gold(
    *values: Any, kind: Kind = Kind.SINGLE_LABEL, labels: tuple[str, ...] = LABELS, label_map: Any = None
) -> list[Any]:
    return gold_of(examples(*values), kind, labels, label_map).values.tolist()


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (("POSITIVE", "negative", " Positive "), [1, 0, 1]),
        ((1, 0, "1", "0"), [1, 0, 1, 0]),
        ((1.0, 0.0), [1, 0]),
        ((True, False), [1, 0]),
    ],
    ids=["names", "numbers", "floats", "bools"],
)
def test_labels_by_name_or_number(values: tuple[Any, ...], wanted: list[int]) -> None:
    assert gold(*values) == wanted


@pytest.mark.parametrize("labels", [("Yes", "No"), ("true", "false"), ("1", "0")])
def test_bool_is_the_label_of_its_name(labels: tuple[str, ...]) -> None:
    assert gold(True, False, labels=labels) == [0, 1]


def test_name_precedes_number() -> None:
    assert gold("1", "0", labels=("1", "0")) == [0, 1]


@pytest.mark.parametrize(
    ("values", "kind", "wanted"),
    [
        (("POSITIVE", "negative"), Kind.SINGLE_LABEL, {}),
        ((1, 0, "1", "NEGATIVE"), Kind.SINGLE_LABEL, {0: "NEGATIVE", 1: "POSITIVE"}),
        ((True, "negative"), Kind.SINGLE_LABEL, {1: "POSITIVE"}),
        (([1], ["NEGATIVE"]), Kind.MULTI_LABEL, {1: "POSITIVE"}),
        ((1, 0), Kind.REGRESSION, {}),
    ],
    ids=["names", "numbers", "bool", "multi-label", "regression"],
)
def test_labels_by_number_are_told(values: tuple[Any, ...], kind: Kind, wanted: dict[int, str]) -> None:
    assert dict(gold_of(examples(*values), kind, LABELS).by_number) == wanted
    mapped = {"1": "NEGATIVE", "0": "POSITIVE", "True": "POSITIVE"}
    assert gold_of(examples(*values), kind, LABELS, mapped).by_number == {}


STARS = ("1 star", "2 stars", "3 stars")


@pytest.mark.parametrize(("values", "kind"), [((1, "2"), Kind.SINGLE_LABEL), (([1], []), Kind.MULTI_LABEL)])
def test_number_in_the_name_of_another_label_is_refused(values: tuple[Any, ...], kind: Kind) -> None:
    with pytest.raises(EvaluationError) as refused:
        gold(*values, kind=kind, labels=STARS)
    assert str(refused.value) == (
        "the label 1 may be '1 star' by its name or '2 stars' by its number; name each label with --label-map, such as "
        "--label-map '1=1 star'"
    )
    assert gold(1, "2", labels=STARS, label_map={"1": "1 star", "2": "2 stars"}) == [0, 1]


def test_number_that_means_one_label_only_is_taken() -> None:
    assert gold(0, 1, 2, labels=STARS) == [0, 1, 2]  # no star has 0
    assert gold(0, 1, labels=("LABEL_0", "LABEL_1")) == [0, 1]
    assert gold(0, 1, labels=("covid-19", "flu")) == [0, 1]


def test_exact_name_precedes_name_in_another_case() -> None:
    assert gold("a", "A", labels=("A", "a")) == [1, 0]
    with pytest.raises(EvaluationError, match="unknown label 'aB'"):
        gold("AB", "aB", labels=("AB", "ab"))


def test_label_map_precedes_names() -> None:
    assert gold("pos", 5, 1, label_map={"pos": "POSITIVE", "5": "POSITIVE", "1": "NEGATIVE"}) == [1, 1, 0]
    with pytest.raises(EvaluationError, match=r"^--label-map: 'GOOD' is no label of the model; it has NEGATIVE, POS"):
        gold("pos", label_map={"pos": "GOOD"})


def test_no_common_label_shows_both_sets() -> None:
    with pytest.raises(EvaluationError) as refused:
        gold("good", "bad", "good")
    assert str(refused.value) == (
        "no label of the data is one of the model; the data has good, bad; the model has NEGATIVE, POSITIVE; "
        "add --label-map good=NEGATIVE, or --label-field"
    )


@pytest.mark.parametrize("value", ["neutral", 2, -1, 0.5, "²"])
def test_unknown_label_is_named(value: Any) -> None:
    with pytest.raises(EvaluationError, match=rf"^unknown label '{value}'; the data has 1, {value}; the model has NEG"):
        gold(1, value)


def test_shown_option_can_be_pasted_into_a_shell() -> None:
    with pytest.raises(EvaluationError, match=r"add --label-map '\$5, a=b c', or --label-field$"):
        gold("$5, a", labels=("b c", "d"))


def test_long_lists_of_labels_are_cut() -> None:
    with pytest.raises(EvaluationError, match=r"the model has l0, .*, l9 and 20 more"):
        gold("none", labels=tuple(f"l{i}" for i in range(30)))


def test_list_for_exclusive_labels_is_refused() -> None:
    with pytest.raises(EvaluationError, match=r"1 of 2 texts have a list of labels.*problem_type=multi_label"):
        gold(1, ["POSITIVE"])


def test_multi_label_takes_lists_names_and_numbers() -> None:
    found = gold(["a", "c"], [], "b", [0, 1], kind=Kind.MULTI_LABEL, labels=("a", "b", "c"))
    wanted = [[True, False, True], [False] * 3, [False, True, False], [True, True, False]]
    assert found == wanted
    with pytest.raises(EvaluationError, match=r"^unknown label 'd'; the data has a, d; the model has a, b; "):
        gold(["a", "d"], kind=Kind.MULTI_LABEL, labels=("a", "b"))


def test_single_independent_label_takes_yes_and_no() -> None:
    found = gold(1, "0", True, "toxic", [], kind=Kind.MULTI_LABEL, labels=("toxic",))
    assert found == [[True], [False], [True], [True], [False]]


def test_regression_takes_finite_numbers() -> None:
    assert gold("2.5", 3, kind=Kind.REGRESSION, labels=("score",)) == [2.5, 3.0]


@pytest.mark.parametrize(("value", "shown"), [(float("nan"), "nan"), ("NaN", "'NaN'"), ("x", "'x'"), ([1], "a list")])
def test_target_that_is_no_finite_number_is_named(value: Any, shown: str) -> None:
    with pytest.raises(EvaluationError, match=rf"^f.csv:3: the target {shown} is not a finite number; correct or"):
        gold(1, value, kind=Kind.REGRESSION, labels=("score",))
