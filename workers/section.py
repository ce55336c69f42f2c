"""The base of every section of settings: frozen, without unknown keys, and with all of its contradictions told at once.

pydantic_core is not imported before something is wrong: `tests/gpu` runs the engine on machines without pydantic.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    def problems(self) -> Iterator[str]:
        """What does not go together, each in a sentence that names the keys; asked when each value is valid."""
        yield from ()

    @model_validator(mode="after")
    def _without_problems(self) -> Self:
        refuse(self.problems())
        return self


def refuse(problems: Iterable[str]) -> None:
    """To be called by a validator: one error for each problem. Raises ValidationError where there is any."""
    texts = list(problems)
    if texts:
        raise _error([_line("problem", text) for text in texts])


def with_more(error: ValidationError, problems: Iterable[str]) -> ValidationError:
    """`error`, and one for each problem behind it."""
    lines = [
        _line(told["type"], told["msg"], told["loc"]) for told in error.errors(include_url=False, include_input=False)
    ]
    return _error([*lines, *(_line("problem", text) for text in problems)])


def _error(lines: list[Any]) -> ValidationError:
    from pydantic_core import ValidationError

    return ValidationError.from_exception_data("settings", lines, hide_input=True)


def _line(kind: str, text: str, place: tuple[int | str, ...] = ()) -> Any:
    """Without the value, which may be a secret."""
    from pydantic_core import InitErrorDetails, PydanticCustomError

    # The text is no template: it may hold braces.
    return InitErrorDetails(type=PydanticCustomError(kind, "{text}", {"text": text}), loc=place, input=None)  # type: ignore
