"""An input message: one text to classify."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, InstanceOf
from pydantic.json_schema import SkipJsonSchema


class Verbatim(str):
    """The unparsed text of a JSON object: Python's numbers would lose digits."""

    __slots__ = ()


class TextMessage(BaseModel):
    """The value of one input message in Labelstream's own JSON format. Strict: no type is coerced.

    Unknown fields have no effect. `model_extra` keeps them for counting; the stream keeps only the names of a
    message's first 32.
    """

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, title="TextMessage")

    text: str = Field(description="The text to classify.")
    id: str | int | None = Field(None, description="The sender's id of the message; the result returns it.")
    text_pair: str | None = Field(None, description="The second text, for models of sentence pairs.")
    model: str | None = Field(None, description="One of the pipeline's models; null means its default model.")
    # fail_fast: the errors of a list with a million wrong labels took 300 times the list's bytes.
    candidate_labels: Annotated[list[str], Field(fail_fast=True)] | None = Field(
        None, description="The labels to choose from, for zero-shot models."
    )
    hypothesis_template: str | None = Field(
        None, description="The sentence whose {} is replaced by a label, for zero-shot models."
    )
    multi_label: bool | None = Field(
        None, description="Whether labels are independent of each other, for zero-shot models."
    )
    top_k: int | None = Field(None, ge=1, description="Number of labels to report, best first.")
    metadata: SkipJsonSchema[InstanceOf[Verbatim]] | dict[str, Any] | None = Field(
        None, union_mode="left_to_right", description="Any object of the sender's; the result returns it."
    )
