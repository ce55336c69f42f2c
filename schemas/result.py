"""A result: one answer per input message. The field `task` tells which kind of answer."""

from typing import Annotated, Any, Generic, Literal, TypeVar

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


def _is_none(value: Any) -> bool:
    return value is None


class LabelScore(BaseModel):
    """A label of the model with its score."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    label: str
    score: FiniteFloat


class TokenScore(BaseModel):
    """A token of the model's vocabulary with its score. Several tokens may have the same text."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    token: str
    token_id: int = Field(ge=0)
    score: FiniteFloat


class Source(BaseModel):
    """The input record of a result. `timestamp_ms`: Kafka's timestamp, in milliseconds since 1970."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    topic: str
    partition: int = Field(ge=0)
    offset: int = Field(ge=0)
    timestamp_ms: int = Field(description="Kafka's timestamp, in milliseconds since 1970.")


class Result(BaseModel, Generic[Task]):
    """The fields of every result."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    schema_version: Literal[1] = Field(1, description="Version of the payload.")
    event_id: str = Field(
        description="pipeline/topic/partition/offset; a replayed message has the same event_id. "
        "Over HTTP: http/ID with the request's X-Request-Id, and http/ID/INDEX for a list of messages."
    )
    task: Task = Field(description="Task of the model; further fields depend on the task.")
    id: str | int | None = Field(description="The message's id.")
    model: str = Field(description="The model's name in the config.")
    model_revision: str = Field(description="The hub's commit, or a hash of the directory's weights and config.")
    tokens: int = Field(ge=1, description="Tokens that the model read, special tokens included.")
    truncated: bool = Field(description="Whether the text was longer than the model takes; the rest was not read.")
    source: Source | None = Field(description="The input record; null in an answer over HTTP.")
    metadata: dict[str, Any] | None = Field(description="The message's metadata.")
    classified_at: AwareDatetime = Field(description="Time of the answer, in UTC.")
    text: str | None = Field(
        None,
        description="The text that the model read, if the pipeline's include_text says so.",
        exclude_if=_is_none,
    )
    text_pair: str | None = Field(
        None, description="The second text, beside text, if the message has one.", exclude_if=_is_none
    )


def check_labels(result: Any) -> Any:
    """Check the labels of a classification. Raises ValueError."""
    scores = result.scores
    if result.scores_order == "model":
        scores = sorted(scores, key=lambda entry: (entry.score, entry.label == result.label), reverse=True)
    best, *others = scores
    if result.label != best.label or result.score != best.score:
        raise ValueError("label and score must equal the first entry of scores")
    last = best.score
    for entry in others:
        if entry.score > last:
            raise ValueError("scores must be in descending order")
        last = entry.score
    if result.abstained != (not result.labels):
        raise ValueError("abstained must be true exactly when labels is empty")
    return result


class ClassificationResult(Result[Literal["text-classification", "zero-shot-classification"]]):
    """The value of a classifier's result: labels with their scores."""

    model_config = ConfigDict(title="ClassificationResult")

    label: str = Field(description="The best label.")
    score: FiniteFloat = Field(description="The best label's score.")
    scores: list[LabelScore] = Field(
        min_length=1, description="The best labels, in descending order of score unless `scores_order` is `model`."
    )
    labels: list[str] = Field(description="The labels whose scores reach their thresholds, best first.")
    abstained: bool = Field(description="Whether no label reaches its threshold; label is then only the best guess.")

    scores_order: Literal["score", "model"] = Field(
        "score",
        description="Order of scores: `score` is from the best down; `model` is the model's order of its labels.",
        exclude_if=lambda order: order == "score",
    )

    _checked = model_validator(mode="after")(check_labels)


class FillMaskResult(Result[Literal["fill-mask"]]):
    """The value of a fill-mask model's result: the best tokens of each mask."""

    model_config = ConfigDict(title="FillMaskResult")

    masks: list[Annotated[list[TokenScore], Field(min_length=1)]] = Field(
        min_length=1, description="The best tokens of each mask of the text, in descending order of score."
    )


class EmbeddingResult(Result[Literal["feature-extraction"]]):
    """The value of an embedding model's result: the vector of the text."""

    model_config = ConfigDict(title="EmbeddingResult")

    embedding: list[FiniteFloat] = Field(min_length=1, description="The vector of the text; each number is a float32.")


RESULT: TypeAdapter[ClassificationResult | FillMaskResult | EmbeddingResult] = TypeAdapter(
    Annotated[ClassificationResult | FillMaskResult | EmbeddingResult, Discriminator("task")]
)
