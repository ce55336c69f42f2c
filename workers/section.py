"""Base class of every settings section: frozen, no unknown keys, all contradictions reported at once.

pydantic_core is imported only to raise an error: `tests/gpu` runs the engine on machines without pydantic.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from labelstream.workers.value_errors import CHOICES


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    def problems(self) -> Iterator[str]:
        """Contradictions between keys, one sentence each that names the keys. Called once each value is valid."""
        yield from ()

    @model_validator(mode="after")
    def _without_problems(self) -> Self:
        refuse(self.problems())
        return self


def refuse(problems: Iterable[str]) -> None:
    """Raise a ValidationError with one entry per problem, if there is any. For use in a validator."""
    texts = list(problems)
    if texts:
        raise _error([_line("problem", text) for text in texts])


def with_more(error: ValidationError, problems: Iterable[str]) -> ValidationError:
    """`error` with one further entry per problem. Drops values, which may be secrets, but for wrong choices."""
    lines = [
        _line(entry["type"], entry["msg"], entry["loc"], entry.get("ctx", {}), _choice(entry))
        for entry in error.errors(include_url=False)
    ]
    return _error([*lines, *(_line("problem", text) for text in problems)])


def _error(lines: list[Any]) -> ValidationError:
    from pydantic_core import ValidationError

    return ValidationError.from_exception_data("settings", lines, hide_input=True)


def _choice(entry: Any) -> Any:
    return entry["input"] if entry["type"] in CHOICES else None


def _line(
    kind: str,
    text: str,
    place: tuple[int | str, ...] = (),
    context: Mapping[str, Any] = MappingProxyType({}),
    value: Any = None,
) -> Any:
    """One entry of a ValidationError."""
    from pydantic_core import InitErrorDetails, PydanticCustomError

    # `text` as the template's argument: its braces would be read as placeholders.
    error = PydanticCustomError(kind, "{text}", {**context, "text": text})  # type: ignore
    return InitErrorDetails(type=error, loc=place, input=value)
