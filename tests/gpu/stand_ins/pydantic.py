"""Replaces pydantic on a machine without it: `ModelOptions` keeps its arguments unchecked."""

from collections.abc import Callable
from typing import Any, Self


class ValidationError(ValueError):
    """Never raised here."""


class _Required:
    """Marks a field without a default."""


def Field(default: Any = _Required, **constraints: Any) -> Any:
    return default


def ConfigDict(**settings: Any) -> dict[str, Any]:
    return settings


def model_validator(mode: str) -> Callable[[Any], Any]:
    return lambda method: method


class BaseModel:
    def __init__(self, **given: Any) -> None:
        for name in self.__annotations__:
            value = given.pop(name) if name in given else getattr(type(self), name)
            object.__setattr__(self, name, value)
        if given:
            raise TypeError(f"no fields: {', '.join(given)}")

    def model_copy(self, update: dict[str, Any]) -> Self:
        return type(self)(**{**{name: getattr(self, name) for name in self.__annotations__}, **update})
