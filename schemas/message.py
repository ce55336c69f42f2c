"""What comes in: one text to classify."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, InstanceOf
from pydantic.json_schema import SkipJsonSchema


class Verbatim(str):
    """The text of a JSON object as it came: numbers in Python do not keep all digits."""

    __slots__ = ()


class TextMessage(BaseModel):
    """The value of one input message in our own JSON format. Strict: nothing is coerced.

    Unknown fields are kept aside in `model_extra`, so that they can be counted; they have no effect. The stream keeps
    their names alone, the first 32 of a message.
    """

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, title="TextMessage")

    text: str = Field(description="The text to classify.")
    id: str | int | None = Field(None, description="Yours; comes back in the result.")
    text_pair: str | None = Field(None, description="The second text, for models of sentence pairs.")
    model: str | None = Field(None, description="One of the pipeline's models; its default model otherwise.")
    # All errors of a list of a million wrong ones took 300 times its bytes.
    candidate_labels: Annotated[list[str], Field(fail_fast=True)] | None = Field(
        None, description="The labels to choose from, for zero-shot models."
    )
    hypothesis_template: str | None = Field(
        None, description="What a label is put into at its {}, for zero-shot models."
    )
    multi_label: bool | None = Field(
        None, description="Whether labels are independent of each other, for zero-shot models."
    )
    top_k: int | None = Field(None, ge=1, description="How many labels to report, best first.")
    metadata: SkipJsonSchema[InstanceOf[Verbatim]] | dict[str, Any] | None = Field(
        None, union_mode="left_to_right", description="Yours; comes back in the result."
    )
