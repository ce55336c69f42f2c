"""Ranges of numbers in which the backlog decides."""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from labelstream.workers.section import Section


class Range(Section):
    """Bounds of a number that the autoscaling chooses by the backlog."""

    min: int = Field(default=1, ge=1, le=10_000, description="Lower bound of the number.")
    max: int = Field(default=1, ge=1, le=10_000, description="Upper bound of the number.")

    def problems(self) -> Iterator[str]:
        if self.max < self.min:
            yield f"max ({self.max}) is below min ({self.min})"


class RangeFromZero(Range):
    """As `Range`; `min: 0` allows none while there are no messages."""

    min: int = Field(
        default=1, ge=0, le=10_000, description="Lower bound of the number; 0 allows none while there are no messages."
    )


def _exactly(value: Any) -> Any:
    """`3` is `{min: 3, max: 3}`."""
    plain = isinstance(value, str) and value.strip().isdigit()  # from the environment
    return {"min": int(value), "max": int(value)} if plain or type(value) is int else value


_Count = Annotated[int, Field(ge=1, le=10_000)]
Workers = Annotated[Range, BeforeValidator(_exactly, json_schema_input_type=_Count | Range)]
Replicas = Annotated[RangeFromZero, BeforeValidator(_exactly, json_schema_input_type=_Count | RangeFromZero)]
