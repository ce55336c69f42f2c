"""Base class of every settings section: frozen, no unknown keys, all contradictions reported at once.

pydantic_core is imported only to raise an error: `tests/gpu` runs the engine on machines without pydantic.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator


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
    """`error` with one further entry per problem."""
    entries = error.errors(include_url=False, include_input=False)
    lines = [_line(entry["type"], entry["msg"], entry["loc"]) for entry in entries]
    return _error([*lines, *(_line("problem", text) for text in problems)])


def _error(lines: list[Any]) -> ValidationError:
    from pydantic_core import ValidationError

    return ValidationError.from_exception_data("settings", lines, hide_input=True)


def _line(kind: str, text: str, place: tuple[int | str, ...] = ()) -> Any:
    """One entry of a ValidationError, without the value, which may be a secret."""
    from pydantic_core import InitErrorDetails, PydanticCustomError

    # `text` as the template's argument: its braces would be read as placeholders.
    return InitErrorDetails(type=PydanticCustomError(kind, "{text}", {"text": text}), loc=place, input=None)  # type: ignore
