"""All keys that a config may have, and the known key nearest to a misspelt one."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from labelstream.workers.settings.application import Settings

NAME = "NAME"  # stands for a name that users choose: of a model, of a pipeline
Path = tuple[str, ...]


@cache
def known_keys() -> dict[Path, FieldInfo]:
    """Every key, such as `("models", "NAME", "source")`, with its field; a section comes before its keys."""
    return dict(_walk(Settings, ()))


def known_key(place: Sequence[int | str]) -> Path:
    """The longest known key at the start of `place`.

    `("models", "m", "num_gpus", "float")` -> `("models", "NAME", "num_gpus")`.
    """
    keys, found = known_keys(), ()
    for part in place:
        longer = next((key for name in (str(part), NAME) if (key := (*found, name)) in keys or _is_named(key)), None)
        if longer is None:
            break
        found = longer
    return found


def nearest(place: Sequence[int | str]) -> str | None:
    """The known key that an unknown one probably means; None without any.

    The dotted path of a key with the same name in another section, or a similar name in the same section.
    """
    *parent, wrong = map(str, place)
    keys = known_keys()
    section = known_key(parent)
    siblings = [key[-1] for key in keys if key[:-1] == section]
    elsewhere = (".".join(key) for key in keys if key[-1] == wrong)
    return next(elsewhere, None) or next(iter(get_close_matches(wrong.lower(), siblings, 1)), None)


def without_none(annotation: Any) -> Any:
    """The section class of a field whose section may be absent; else `annotation`."""
    kinds = get_args(annotation) if isinstance(annotation, UnionType) else ()
    sections = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return sections[0] if len(kinds) == 2 and NoneType in kinds and sections else annotation


def _is_named(key: Path) -> bool:
    return key[-1] == NAME and any(known[: len(key)] == key for known in known_keys())


def _walk(kind: type[BaseModel], above: Path) -> Iterator[tuple[Path, FieldInfo]]:
    for name, field in kind.model_fields.items():
        yield (*above, name), field
        inner, names = _section(field.annotation)
        if inner is not None:
            yield from _walk(inner, (*above, name, *names))


def _section(annotation: Any) -> tuple[type[BaseModel] | None, Path]:
    """The section class of a field, or None; and NAME if the field is a dict of sections."""
    if get_origin(annotation) is dict:
        inner, _ = _section(get_args(annotation)[1])
        return inner, (NAME,)
    annotation = without_none(annotation)
    return (annotation, ()) if isinstance(annotation, type) and issubclass(annotation, BaseModel) else (None, ())
