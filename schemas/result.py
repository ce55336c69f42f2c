"""What goes out: one answer for each message that came in. `task` says what it is."""

from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    FiniteFloat,
    TypeAdapter,
    model_validator,
)

Task = TypeVar("Task", bound=str)


class LabelScore(BaseModel):
    """One label of the model and its score."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    label: str
    score: FiniteFloat


class TokenScore(BaseModel):
    """One token of the model's vocabulary and its score; several tokens may read the same."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    token: str
    token_id: int = Field(ge=0)
    score: FiniteFloat


class Source(BaseModel):
    """The input record that this answers. `timestamp_ms` is Kafka's, in milliseconds since 1970."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    topic: str
    partition: int = Field(ge=0)
    offset: int = Field(ge=0)
    timestamp_ms: int


class Result(BaseModel, Generic[Task]):
    """What every answer holds."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    event_id: str = Field(description="pipeline/topic/partition/offset: the same again when a message is replayed.")
    task: Task
    id: str | int | None = Field(description="The message's own id.")
    model: str = Field(description="The model's name in the config.")
    model_revision: str = Field(description="The hub's commit, or a hash of the directory's weights and config.")
    tokens: int = Field(ge=1, description="Tokens that the model read, special tokens included.")
    truncated: bool = Field(description="The text was longer than the model takes; its rest was not read.")
    source: Source
    metadata: dict[str, Any] | None = Field(description="The message's own metadata.")
    classified_at: AwareDatetime


class ClassificationResult(Result[Literal["text-classification", "zero-shot-classification"]]):
    """The value of one output message of a classifier: labels and their scores."""

    model_config = ConfigDict(title="ClassificationResult")

    label: str = Field(description="The best label.")
    score: FiniteFloat = Field(description="The best label's score.")
    scores: list[LabelScore] = Field(min_length=1, description="The best labels, descending by score.")
    labels: list[str] = Field(description="The labels whose scores reach their thresholds, best first.")
    abstained: bool = Field(description="None does: label and score are only the best guess.")

    @model_validator(mode="after")
    def _label_is_the_best(self) -> Self:
        best, *others = self.scores
        if self.label != best.label or self.score != best.score:
            raise ValueError("label and score are not the first of scores")
        last = best.score
        for entry in others:
            if entry.score > last:
                raise ValueError("scores do not descend")
            last = entry.score
        if self.abstained != (not self.labels):
            raise ValueError("abstained says another thing than labels")
        return self


class FillMaskResult(Result[Literal["fill-mask"]]):
    """The value of one output message of a model that fills masks."""

    model_config = ConfigDict(title="FillMaskResult")

    masks: list[Annotated[list[TokenScore], Field(min_length=1)]] = Field(
        min_length=1, description="For each mask of the text, in order, its best tokens, descending by score."
    )


class EmbeddingResult(Result[Literal["feature-extraction"]]):
    """The value of one output message of a model that embeds texts."""

    model_config = ConfigDict(title="EmbeddingResult")

    embedding: list[FiniteFloat] = Field(min_length=1, description="The text's vector, float32.")


RESULT: TypeAdapter[ClassificationResult | FillMaskResult | EmbeddingResult] = TypeAdapter(
    Annotated[ClassificationResult | FillMaskResult | EmbeddingResult, Discriminator("task")]
)
