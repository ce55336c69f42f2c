"""The bodies of Hugging Face's Inference API."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from labelstream.deploy.gateway.shapes import one_of

Texts = Annotated[list[str], Field(min_length=1, fail_fast=True)]


class TextPair(BaseModel):
    """Two texts that a classifier reads together."""

    model_config = ConfigDict(extra="forbid", strict=True)
    text: str
    text_pair: str


class Embedded(BaseModel):
    """Parameters of feature-extraction, which clients send beside `inputs`."""

    model_config = ConfigDict(strict=True)
    normalize: bool | None = Field(None, description="Whether vectors are scaled to length 1.")
    truncate: bool | None = Field(None, description="false: a text that is too long is refused.")
    truncation_direction: Literal["left", "right", "Left", "Right"] | None = Field(
        None, description="The end of a text that is cut off; must be what the model's `truncate` says."
    )
    dimensions: int | None = Field(None, ge=1, description="Numbers of a vector that are kept, from its first on.")
    prompt_name: str | None = Field(None, description="Name of the model's prompt that precedes each text.")
    encoding_format: Literal["float"] | None = Field(None, description="Vectors are lists of numbers.")


class Parameters(Embedded):
    """Parameters of all tasks. A parameter of another task than the model's is refused."""

    model_config = ConfigDict(extra="forbid", strict=True)
    top_k: int | None = Field(None, ge=1, description="Number of labels, or of tokens for a mask.")
    function_to_apply: Literal["softmax", "sigmoid", "none"] | None = Field(
        None, description="Function from logits to scores; `none` gives logits. null means the model's own."
    )
    return_all_scores: bool | None = Field(None, description="false: the best label only; older than `top_k`.")
    candidate_labels: Annotated[Texts | str | None, one_of("a list of labels, or labels with commas in between")] = (
        Field(None, description="Labels that zero-shot classification chooses from.")
    )
    hypothesis_template: str | None = Field(None, description="Sentence with {} in place of the label.")
    multi_label: bool | None = Field(None, description="Whether zero-shot labels are independent of each other.")
    targets: Annotated[Texts | str | None, one_of("a token or a list of tokens")] = Field(
        None, description="The only tokens that may replace a mask."
    )
    truncation: bool | None = Field(None, description="As `truncate`.")


class InferenceBody(Embedded):
    """A request of any task. Unknown keys beside `inputs`, such as `options`, are ignored."""

    inputs: Annotated[
        str | TextPair | Annotated[list[str | TextPair], Field(min_length=1, fail_fast=True)],
        one_of('a text, a pair {"text", "text_pair"}, or a list of these'),
    ]
    parameters: Parameters | None = None

    @property
    def texts(self) -> list[str | TextPair]:
        """The inputs as a list."""
        return self.inputs if isinstance(self.inputs, list) else [self.inputs]

    @property
    def chosen(self) -> Parameters:
        """The parameters, from both places."""
        beside: dict[str, Any] = {name: getattr(self, name) for name in Embedded.model_fields}
        found = Parameters.model_validate({}) if self.parameters is None else self.parameters
        return found.model_copy(update={name: value for name, value in beside.items() if value is not None})
