"""Which records a pipeline classifies: conditions on fields and headers, and an age."""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from labelstream.workers.records.places import PathName, parse_path
from labelstream.workers.section import Section

Scalar = str | bool | int | float | None
_OPERATORS = {"equals": "equals", "in_": "in", "matches": "matches", "exists": "exists"}


def pattern_of(expression: str) -> Any:
    """Validator of a regular expression: `isinstance_python(text)` searches `text` in linear time.

    Raises ValueError when the expression is invalid.
    """
    from pydantic_core import SchemaError, SchemaValidator, core_schema

    try:
        return SchemaValidator(core_schema.str_schema(pattern=expression, regex_engine="rust-regex", strict=True))
    except SchemaError as error:
        cause = str(error).strip().splitlines()[-1].removeprefix("error: ")
        raise ValueError(f"invalid regular expression: {cause}; use the syntax of the Rust crate regex") from None


def _checked(expression: str) -> str:
    pattern_of(expression)
    return expression


class Condition(Section):
    """A condition on one field or header of a record."""

    field: PathName | None = Field(default=None, description="Path in the value's JSON, such as event.level.")
    header: str | None = Field(default=None, min_length=1, description="Name of a header; its last occurrence counts.")
    equals: Scalar = Field(default=None, description="Value that the field or header must equal, type included.")
    in_: tuple[Scalar, ...] = Field(default=(), alias="in", description="Values; the field or header must equal one.")
    matches: Annotated[str, AfterValidator(_checked)] | None = Field(
        default=None, description="Regular expression (Rust crate regex) that must match somewhere in the text."
    )
    exists: bool | None = Field(default=None, description="Whether the field or header must exist.")

    def problems(self) -> Iterator[str]:
        if (self.field is None) == (self.header is None):
            yield "a condition takes either a field or a header; name one of the two"
        if self.field is not None and self.field.startswith("header:"):
            name = self.field.removeprefix("header:")
            yield f"field is a path in the value; write header: {name}, or $.{self.field} for a field of this name"
        if self.field is not None and parse_path(self.field).has_star:
            yield f"field takes one value, and {self.field} names all items of a list; name one item, such as [0]"
        if len(self.operators()) != 1:
            yield "a condition needs exactly one operator; set one of equals, in, matches and exists"
        for key, name in _OPERATORS.items():
            if key != "equals" and key in self.model_fields_set and getattr(self, key) in (None, ()):
                yield f"{name} is empty; give it a value, or remove the condition"
        values = [*self.in_, *([self.equals] if "equals" in self.model_fields_set else [])]
        if self.header is not None and not all(isinstance(value, str) for value in values):
            yield "header values are strings; put the value in quotes"

    def operators(self) -> list[str]:
        """Names of the operators that are set, as in the config."""
        return [name for key, name in _OPERATORS.items() if key in self.model_fields_set]


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, dict | Condition) else value


Conditions = Annotated[
    tuple[Condition, ...], BeforeValidator(_one_or_more, json_schema_input_type=Condition | list[Condition])
]


def condition_problems(pipeline: Any) -> Iterator[str]:
    """Yield the pipeline's settings that contradict its conditions or have no effect."""
    if pipeline.format == "text" and any(condition.field for condition in pipeline.only_if):
        yield "only_if: field reads JSON, and format is text; name a header, or set format to json"
    if pipeline.otherwise == "pass":
        if not pipeline.only_if and pipeline.max_age_s is None:
            yield "otherwise has no effect without only_if and max_age_s; remove otherwise"
        if pipeline.output_shape == "result":
            yield "otherwise pass sends records to a topic of results; set output_shape to enrich, or otherwise to skip"
