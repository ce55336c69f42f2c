"""Finds text, pair and label in rows: objects of JSON, cells of a table, or records of a topic."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from labelstream.deploy.cli.common.console import escape
from labelstream.workers.errors import EvaluationError

if TYPE_CHECKING:
    from labelstream.workers.evaluation.examples import Examples
    from labelstream.workers.evaluation.metrics.glue import GlueTask

TEXT, PAIR, LABEL = "text", "text_pair", "label"
_SHOWN = 12  # fields in an error


class FieldNames(NamedTuple):
    """The fields that the user names: columns, or dotted paths such as review.body. None: the default."""

    text: str | None = None
    pair: str | None = None
    label: str | None = None


class Repeated:
    """Type of REPEATED, which stands for the values of a key that an object has several times."""


REPEATED = Repeated()


class RowError(EvaluationError):
    """A row cannot be used."""


class ExampleReader:
    """Collects the examples of rows. The first row decides which fields are read.

    `task`: of GLUE, whose data sets have fields of other names.
    """

    def __init__(self, names: FieldNames, task: "GlueTask | None" = None) -> None:
        self._names, self._task = names, task
        self._fields: tuple[str, str | None, str] | None = None
        self._texts: list[tuple[str, str | None]] = []
        self._gold: list[Any] = []
        self._places: list[str] = []
        self._left_out: list[str] = []

    def add(self, place: str, row: Mapping[str, Any]) -> None:
        """Raises EvaluationError naming `place` if a field is missing or has another type; leaves blank texts out."""
        if self._fields is None:
            self._fields = self._chosen(place, row)
        text_field, pair_field, label_field = self._fields
        text, pair, gold = _at(row, text_field), _at(row, pair_field), _gold(_at(row, label_field))
        for field, value in ((text_field, text), (pair_field, pair), (label_field, gold)):
            if value is REPEATED:
                raise RowError(f"{place}: duplicate key on the path of {field}; correct or remove the row")
        for field, value in ((text_field, text), (pair_field, pair)):
            if value is not None and not isinstance(value, str):
                raise RowError(f"{place}: the value at {field} is not a string; correct the row")
        if text is None:
            raise RowError(f"{place}: no text at {text_field}; correct or remove the row")
        if _is_empty(gold):
            raise RowError(f"{place}: no label at {label_field}; correct or remove the row")
        if isinstance(gold, Mapping):
            raise RowError(f"{place}: the value at {label_field} is an object; name its field with --label-field")
        if isinstance(gold, list) and any(_is_empty(one) or isinstance(one, list | Mapping) for one in gold):
            raise RowError(f"{place}: the list at {label_field} has an item that is no label; correct the row")
        if not text.strip():
            self.leave_out(f"{place}: the text is empty or blank")
            return
        self._texts.append((text, pair or None))
        self._gold.append(gold)
        self._places.append(place)

    def leave_out(self, reason: str) -> None:
        self._left_out.append(reason)

    def examples(self, source: str) -> "Examples":
        """Raises EvaluationError if there is none."""
        from labelstream.workers.evaluation.examples import Examples

        if not self._texts:
            why = f"no text can be evaluated; {self._left_out[0]}" if self._left_out else "no rows"
            raise EvaluationError(f"{source}: {why}; give labeled texts")
        return Examples(self._texts, self._gold, self._places, self._left_out)

    def _chosen(self, place: str, row: Mapping[str, Any]) -> tuple[str, str | None, str]:
        names = self._names
        for text, pair, label in self._task.fields if self._task is not None and names == FieldNames() else ():
            if all(_has(row, field) for field in (text, pair, label) if field):
                return text, pair, label
        text, label = names.text or TEXT, names.label or LABEL
        for field, option in ((text, "--text-field"), (names.pair, "--text-pair-field"), (label, "--label-field")):
            if field is not None and not _has(row, field):
                have = [*map(str, row)]
                more = f" and {len(have) - _SHOWN} more" if len(have) > _SHOWN else ""
                shown = escape(", ".join(have[:_SHOWN])) + more
                raise RowError(f"{place}: no field {field!r}; the row has {shown}; name the field with {option}")
        return text, names.pair or PAIR, label


def json_object(value: bytes) -> dict[str, Any] | None:
    """None if `value` is not the JSON of an object. A key that an object has several times has the value REPEATED."""
    try:
        row = json.loads(value, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        found |= {key: REPEATED for key, count in Counter(key for key, _ in members).items() if count > 1}
    return found


def _at(row: Mapping[str, Any], path: str | None) -> Any:
    """The value at a dotted path, by the rule of a pipeline's `text_field`; None if there is none, REPEATED behind a
    repeated key.
    """
    if path is None or path in row:
        return None if path is None else row[path]
    from labelstream.workers.stream.codec.fields.lookup import Nothing, lookup  # pydantic

    found = lookup(row, path)
    return found if type(found) is not Nothing else REPEATED if found.actual is REPEATED else None


def _has(row: Mapping[str, Any], path: str) -> bool:
    """Whether there is a field at a dotted path. Its value, or the object that would hold the field, may be null."""
    from labelstream.workers.stream.codec.fields.lookup import Nothing, lookup  # pydantic

    found = lookup(row, path)
    return type(found) is not Nothing or found.actual is None or found.actual is REPEATED


def _is_empty(label: Any) -> bool:
    """Whether a label is null, blank, or NaN, which tables write for null."""
    return label is None or label != label or (isinstance(label, str) and not label.strip())


def _gold(value: Any) -> Any:
    """Labels in brackets are a list of JSON: the cell of a table has no other way to hold several."""
    if isinstance(value, str) and value.startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
