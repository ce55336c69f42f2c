"""Fields of bodies that take values of several shapes, with one error for all of them."""

from typing import Any

from pydantic import ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError, ValidationError


def one_of(shapes: str) -> WrapValidator:
    """Replaces the errors of a union, one for each of its types, by "must be `shapes`"."""

    def check(value: Any, of_type: ValidatorFunctionWrapHandler) -> Any:
        try:
            return of_type(value)
        except ValidationError:
            raise PydanticCustomError("shape", "must be {shapes}", {"shapes": shapes}) from None

    return WrapValidator(check)
