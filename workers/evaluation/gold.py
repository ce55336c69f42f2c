"""Turns the labels of a data set into indexes of a model's labels, by name, number or a map."""

import math
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.errors import EvaluationError
from labelstream.workers.evaluation.examples import Examples
from labelstream.workers.evaluation.predictions import Kind

_SHOWN = 10  # labels in an error
_ABSENT, _PRESENT = ("0", "false", "no"), ("1", "true", "yes")


class Gold(NamedTuple):
    """`values`: the array `Predictions.gold`. `by_number`: the labels that the data names by number, by that number."""

    values: NDArray[Any]
    by_number: Mapping[int, str]


def gold_of(examples: Examples, kind: Kind, labels: Sequence[str], label_map: Mapping[str, str] | None = None) -> Gold:
    """The true labels of `examples` for a model with `labels`.

    A label is one of `label_map` (the data's name -> the model's), else a name of the model in any case, else the
    number of one. A model with a single independent label also takes 0 and 1.

    Raises EvaluationError, which shows both sets of labels, or the place of a target that is no finite number, or two
    labels that a number may mean.
    """
    if kind is Kind.REGRESSION:
        numbers = [_number(*one) for one in zip(examples.gold, examples.places, strict=True)]
        return Gold(np.array(numbers, np.float64), {})
    _check_map(label_map or {}, labels)
    names = _Names(labels, label_map or {})
    if kind is Kind.SINGLE_LABEL:
        found = [None if isinstance(value, list) else names.index(value) for value in examples.gold]
        _check(found, examples.gold, labels)
    else:
        found = _multi_label(examples.gold, names, labels)
    values = np.array(found, np.bool_ if kind is Kind.MULTI_LABEL else np.int64)
    return Gold(values, names.checked_numbers())


class _Names:
    """Finds the index of a label. Names are compared exactly first, then in any case."""

    def __init__(self, labels: Sequence[str], label_map: Mapping[str, str]) -> None:
        self._map, self._labels = label_map, labels
        self._numbers: set[int] = set()  # labels found by their number
        folded = Counter(label.casefold() for label in labels)
        self._exact = {label: i for i, label in enumerate(labels)}
        self._in_any_case = {label.casefold(): i for i, label in enumerate(labels) if folded[label.casefold()] == 1}

    def index(self, value: Any) -> int | None:
        name = text_of(value)
        name = self._map.get(name, name)
        found = self._exact.get(name, self._in_any_case.get(name.casefold()))
        if found is not None:
            return found
        if isinstance(value, bool):
            words = _PRESENT if value else _ABSENT
            named = next((self._in_any_case[word] for word in words if word in self._in_any_case), None)
            if named is not None:
                return named
            name = words[0]
        number = int(name) if name.isascii() and name.isdigit() else len(self._labels)
        if number >= len(self._labels):
            return None
        self._numbers.add(number)
        return number

    def checked_numbers(self) -> dict[int, str]:
        """The labels found by their number. Raises EvaluationError if the numbers also are those in the names of other
        labels, as 1 in `1 star`.
        """
        named = {int(digits): label for label in reversed(self._labels) for digits in re.findall(r"[0-9]+", label)}
        other = next((n for n in sorted(self._numbers) if named.get(n, "") != self._labels[n]), None)
        if other is not None and self._numbers <= named.keys():
            raise EvaluationError(
                f"the label {other} may be {named[other]!r} by its name or {self._labels[other]!r} by its number; name "
                f"each label with --label-map, such as --label-map {shlex.quote(f'{other}={named[other]}')}"
            )
        return {number: self._labels[number] for number in sorted(self._numbers)}


def text_of(value: Any) -> str:
    """A label as text: `1` also for 1.0, which tables with gaps make of whole numbers."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _multi_label(values: Sequence[Any], names: _Names, labels: Sequence[str]) -> NDArray[np.bool_]:
    gold = np.zeros((len(values), len(labels)), np.bool_)
    unknown: list[Any] = []
    for row, value in enumerate(values):
        if len(labels) == 1 and not isinstance(value, list) and text_of(value).casefold() in _ABSENT + _PRESENT:
            gold[row, 0] = text_of(value).casefold() in _PRESENT
            continue
        for one in value if isinstance(value, list) else [value]:
            index = names.index(one)
            if index is None:
                unknown.append(one)
            else:
                gold[row, index] = True
    if unknown:
        _refuse(unknown, [one for value in values for one in (value if isinstance(value, list) else [value])], labels)
    return gold


def _check(found: Sequence[int | None], values: Sequence[Any], labels: Sequence[str]) -> None:
    lists = sum(isinstance(value, list) for value in values)
    if lists:
        raise EvaluationError(
            f"{lists} of {len(values)} texts have a list of labels, and the model's labels exclude each other; give a "
            "model with independent labels, or set problem_type=multi_label_classification"
        )
    unknown = [value for value, index in zip(values, found, strict=True) if index is None]
    if unknown:
        _refuse(unknown, values, labels)


def _refuse(unknown: Sequence[Any], values: Iterable[Any], labels: Sequence[str]) -> None:
    have = list(dict.fromkeys(map(text_of, values)))
    names = list(dict.fromkeys(map(text_of, unknown)))
    what = "no label of the data is one of the model" if len(names) == len(have) else f"unknown label {names[0]!r}"
    raise EvaluationError(
        f"{what}; the data has {_listed(have)}; the model has {_listed(labels)}; "
        f"add --label-map {shlex.quote(f'{names[0]}={labels[0]}')}, or --label-field"
    )


def _check_map(label_map: Mapping[str, str], labels: Sequence[str]) -> None:
    wrong = next((name for name in label_map.values() if name not in labels), None)
    if wrong is not None:
        raise EvaluationError(f"--label-map: {wrong!r} is no label of the model; it has {_listed(labels)}")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _number(value: Any, place: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        shown = "a list" if isinstance(value, list | dict) else repr(value)
        raise EvaluationError(f"{place}: the target {shown} is not a finite number; correct or remove the row")
    return number
