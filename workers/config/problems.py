"""What pydantic has against a config, in the words of whoever wrote the config: the key, the problem and the fix."""

import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, get_origin

from pydantic import ValidationError

from labelstream.workers.config.keys import known_key, known_keys, nearest
from labelstream.workers.errors import ConfigError
from labelstream.workers.settings import ENV_PREFIX, FORMS, Settings

# Keys of a model that earlier versions had.
_REMOVED = {
    "attention": "was removed: a GPU runs sequences without padding wherever the model's family can",
    "cuda_graphs": "was removed: a GPU replays recorded forwards wherever sequences have no padding",
}
# By how pydantic's text ends.
_WORDS = {
    **{f"should match pattern '{pattern}'": words for pattern, words in FORMS.items()},
    "instance of Range": "must be a number, or {min: NUMBER, max: NUMBER}",
    "instance of RangeFromZero": "must be a number, or {min: NUMBER, max: NUMBER}",
}
Place = tuple[int | str, ...]


def explain(error: ValidationError) -> Iterator[ConfigError]:
    """One for each key and thing that is wrong with it."""
    told = error.errors(include_url=False, include_input=False)
    for value, group in groupby(told, lambda one: _of_value(_place(one))):
        alternatives = []  # why the value is of none of the types that it may be of
        for one in group:
            if found := _explain(_place(one), one):
                yield found
            else:
                alternatives.append(_text(one))
        if alternatives:
            yield ConfigError(_dotted(value), ", or ".join(alternatives) + _where_from(value))


def _explain(place: Place, told: Any) -> ConfigError | None:
    """None where a value is wrong by itself."""
    if told["type"] == "extra_forbidden":
        return _unknown(place)
    if told["type"] == "missing":
        return ConfigError(_dotted(place), "is missing", f"add it: {_description(place)}")
    if not place:  # what is wrong between sections names the key itself
        key, _, problem = _text(told).partition(": ")
        return ConfigError(key, problem)
    return ConfigError(_dotted(place), _text(told)) if told["type"] == "problem" else None


def _place(told: Any) -> Place:
    return tuple(part for part in told["loc"] if part != "[key]")


def _text(told: Any) -> str:
    text = told["msg"]
    for pydantics, ours in _WORDS.items():
        if text.endswith(pydantics):
            return ours
    return text.removeprefix("Value error, ").replace("Input should be", "must be", 1)


def unknown_variables() -> Iterator[ConfigError]:
    """Variables of the environment that look like ours and set nothing."""
    # Kubernetes sets variables such as LABELSTREAM_SERVICE_HOST by itself: only our own form, with `__`, is ours.
    for variable in os.environ:
        section, *rest = variable.removeprefix(ENV_PREFIX).lower().split("__")
        if variable.startswith(ENV_PREFIX) and rest and section not in Settings.model_fields:
            meant = nearest([section])
            fix = f"did you mean {_variable([meant, *rest])}?" if meant in Settings.model_fields else ""
            yield ConfigError(variable, "is no setting", fix or f"known sections: {', '.join(Settings.model_fields)}")


def _unknown(place: Place) -> ConfigError:
    if place[0] == "models" and len(place) == 3 and place[2] in _REMOVED:
        return ConfigError(_dotted(place), _REMOVED[str(place[2])], "remove the key")
    meant, variable = nearest(place), _variable(place)
    fix = f"did you mean {meant}?"
    if meant is None:
        fix = "remove it; `labelstream schema config` has all keys"
    elif variable in os.environ:
        fix = f"did you mean {_variable(meant.split('.') if '.' in meant else [*place[:-1], meant])}?"
    return ConfigError(_dotted(place), f"is no setting{_where_from(place)}", fix)


def _of_value(place: Place) -> Place:
    """Without what pydantic appends for each type that a value may be of."""
    key = known_key(place)
    field = known_keys().get(key)
    return place if field is None or get_origin(field.annotation) in (dict, tuple) else place[: len(key)]


def _description(place: Place) -> str:
    """Of the key, as a part of a sentence."""
    field = known_keys().get(known_key(place))
    text = (field.description or "") if field else ""
    return (text if text[1:2].isupper() else text[:1].lower() + text[1:]).rstrip(".")


def _where_from(place: Place) -> str:
    return f" (from {_variable(place)})" if _variable(place) in os.environ else ""


def _variable(place: Sequence[int | str]) -> str:
    return ENV_PREFIX + "__".join(map(str, place)).upper()


def _dotted(place: Place) -> str:
    return ".".join(map(str, place))
