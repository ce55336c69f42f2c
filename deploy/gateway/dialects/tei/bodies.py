"""The bodies of text-embeddings-inference, by its OpenAPI description."""

from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from labelstream.deploy.gateway.shapes import one_of

Pair = Annotated[list[str], Field(min_length=1, max_length=2)]
Direction = Literal["left", "right", "Left", "Right"]


class Sequence(NamedTuple):
    """A text, or a pair of texts."""

    text: str
    text_pair: str | None = None


class _Body(BaseModel):
    model_config = ConfigDict(strict=True)
    truncate: bool | None = Field(None, description="false: a text that is too long is refused; null: true.")
    truncation_direction: Direction | None = Field(
        None, description="The end of a text that is cut off; must be what the model's `truncate` says."
    )


class PredictBody(_Body):
    """Unknown keys are ignored, as text-embeddings-inference ignores them."""

    inputs: Annotated[
        str | Pair | Annotated[list[Pair], Field(min_length=1, fail_fast=True)],
        one_of('a text, a pair ["a", "b"], or a batch [["a"], ["b", "c"]] of texts and pairs'),
    ]
    raw_scores: bool = Field(False, description="Logits in place of scores.")

    @property
    def in_batch(self) -> bool:
        return isinstance(self.inputs, list) and isinstance(self.inputs[0], list)

    @property
    def count(self) -> int:
        """Number of texts and pairs."""
        return len(self.inputs) if self.in_batch else 1

    @property
    def sequences(self) -> list[Sequence]:
        """The texts and pairs, one for a request that is no batch."""
        if isinstance(self.inputs, str):
            return [Sequence(self.inputs)]
        texts = [text for text in self.inputs if isinstance(text, str)]
        if texts:
            return [Sequence(*texts)]
        return [Sequence(*pair) for pair in self.inputs if isinstance(pair, list)]


class EmbedBody(_Body):
    """Unknown keys are ignored, as text-embeddings-inference ignores them."""

    inputs: Annotated[str | Annotated[list[str], Field(fail_fast=True)], one_of("a text or a list of texts")]
    normalize: bool = Field(True, description="Whether vectors are scaled to length 1.")
    dimensions: int | None = Field(None, ge=1, description="Numbers of a vector that are kept, from its first on.")
    prompt_name: str | None = Field(None, description="Name of the model's prompt that precedes each text.")

    @property
    def in_batch(self) -> bool:
        return isinstance(self.inputs, list)

    @property
    def count(self) -> int:
        """Number of texts."""
        return len(self.inputs) if self.in_batch else 1

    @property
    def sequences(self) -> list[Sequence]:
        """The texts, one for a request that is no batch."""
        return [Sequence(text) for text in ([self.inputs] if isinstance(self.inputs, str) else self.inputs)]


class Score(BaseModel):
    """A label with its score."""

    score: float
    label: str
