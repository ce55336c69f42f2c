"""pydantic's errors about a config as ConfigErrors, which name the key, the problem and the fix."""

import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, get_origin

from pydantic import ValidationError

from labelstream.workers.config.keys import known_key, known_keys, nearest
from labelstream.workers.errors import ConfigError
from labelstream.workers.settings.application import Settings
from labelstream.workers.settings.environment import ENV_PREFIX
from labelstream.workers.settings.forms import FORMS
from labelstream.workers.value_errors import fix_of, given, problem_of

# Keys that a model had in earlier versions.
_REMOVED = {
    "attention": "was removed: a GPU runs sequences without padding wherever the model's family can",
    "cuda_graphs": "was removed: a GPU replays recorded forwards wherever sequences have no padding",
}
# The end of pydantic's text -> the text that users read.
_TEXTS = {
    **{f"should match pattern '{pattern}'": words for pattern, words in FORMS.items()},
    "instance of Range": "must be a number, or {min: NUMBER, max: NUMBER}",
    "instance of RangeFromZero": "must be a number, or {min: NUMBER, max: NUMBER}",
}
Place = tuple[int | str, ...]


def explain(error: ValidationError) -> Iterator[ConfigError]:
    """One ConfigError per wrong key, or several if the key breaks several rules."""
    errors = error.errors(include_url=False)
    for value, group in groupby(errors, lambda entry: _of_value(_place(entry))):
        alternatives: list[Any] = []  # one entry per allowed type: why the value is not of that type
        for entry in group:
            if found := _explain(_place(entry), entry):
                yield found
            else:
                alternatives.append(entry)
        if alternatives:
            yield _wrong_value(value, alternatives)


def _wrong_value(place: Place, alternatives: Sequence[Any]) -> ConfigError:
    problem = ", or ".join(map(_text, alternatives)) + given(alternatives[-1])
    described = _described(place) if len(known_key(place)) == len(place) else ""  # else part of a key's value
    return ConfigError(_dotted(place), problem + _where_from(place), fix_of(alternatives[-1], described))


def _explain(place: Place, entry: Any) -> ConfigError | None:
    """The error of an unknown key, a missing key or a broken rule; None for a value of a wrong type or range."""
    if entry["type"] == "extra_forbidden":
        return _unknown(place)
    if entry["type"] == "missing":
        return ConfigError(_dotted(place), "is missing", f"add it: {_description(place)}")
    if not place:  # a rule between sections: its text begins with the key
        key, _, problem = _text(entry).partition(": ")
        return ConfigError(key, problem)
    return ConfigError(_dotted(place), _text(entry)) if entry["type"] == "problem" else None


def _place(entry: Any) -> Place:
    return tuple(part for part in entry["loc"] if part != "[key]")


def _text(entry: Any) -> str:
    own = (own_text for pydantic_text, own_text in _TEXTS.items() if entry["msg"].endswith(pydantic_text))
    return next(own, None) or problem_of(entry)


def unknown_variables() -> Iterator[ConfigError]:
    """One ConfigError per environment variable that looks like a setting and names no section."""
    # Kubernetes sets variables such as LABELSTREAM_SERVICE_HOST. Variables of settings have `__` in their name.
    for variable in os.environ:
        section, *rest = variable.removeprefix(ENV_PREFIX).lower().split("__")
        if variable.startswith(ENV_PREFIX) and rest and section not in Settings.model_fields:
            meant = nearest([section])
            fix = f"did you mean {_variable([meant, *rest])}?" if meant in Settings.model_fields else ""
            yield ConfigError(variable, "unknown setting", fix or f"known sections: {', '.join(Settings.model_fields)}")


def _unknown(place: Place) -> ConfigError:
    if place[0] == "models" and len(place) == 3 and place[2] in _REMOVED:
        return ConfigError(_dotted(place), _REMOVED[str(place[2])], "remove the key")
    meant, variable = nearest(place), _variable(place)
    fix = f"did you mean {meant}?"
    if meant is None:
        fix = "remove it, or find its name in `labelstream schema config`"
    elif variable in os.environ:
        fix = f"did you mean {_variable(meant.split('.') if '.' in meant else [*place[:-1], meant])}?"
    return ConfigError(_dotted(place), f"unknown setting{_where_from(place)}", fix)


def _of_value(place: Place) -> Place:
    """`place` without the type names that pydantic appends for a value of a union."""
    key = known_key(place)
    field = known_keys().get(key)
    return place if field is None or get_origin(field.annotation) in (dict, tuple) else place[: len(key)]


def _description(place: Place) -> str:
    """The key's description as the end of a sentence: lower case, no full stop."""
    text = _described(place)
    return (text if text[1:2].isupper() else text[:1].lower() + text[1:]).rstrip(".")


def _described(place: Place) -> str:
    field = known_keys().get(known_key(place))
    return (field.description or "") if field else ""


def _where_from(place: Place) -> str:
    return f" (from {_variable(place)})" if _variable(place) in os.environ else ""


def _variable(place: Sequence[int | str]) -> str:
    return ENV_PREFIX + "__".join(map(str, place)).upper()


def _dotted(place: Place) -> str:
    return ".".join(map(str, place))
