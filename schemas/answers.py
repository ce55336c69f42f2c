"""A result of a message with several texts: one answer per text, in order, under `answers`."""

from typing import Annotated, Any, Union

from pydantic import BaseModel, ConfigDict, Discriminator, Field, TypeAdapter, create_model, model_validator

from labelstream.schemas.dead_letter import Reason
from labelstream.schemas.enrichment import without_record
from labelstream.schemas.result import ClassificationResult, EmbeddingResult, FillMaskResult, Result, check_labels

OF_EACH_TEXT = ("model_revision", "tokens", "truncated", "text", "text_pair")
_CONFIG = ConfigDict(strict=True, extra="forbid", frozen=True)


class TextError(BaseModel):
    """Why a text has no answer."""

    model_config = _CONFIG

    reason: Reason = Field(strict=False, description="As the reason of a dead letter.")
    message: str = Field(description="Text of the error, without the text of the message.")


class FailedText(BaseModel):
    """A text without an answer, in its place."""

    model_config = _CONFIG

    error: TextError = Field(description="Why the text has no answer.")
    text: Annotated[str | None, Result.model_fields["text"]] = None
    text_pair: Annotated[str | None, Result.model_fields["text_pair"]] = None


def _answer(result: type[BaseModel], **validators: Any) -> type[BaseModel]:
    """The model of the fields of `result` that belong to one text."""
    fields = result.model_fields
    own = [*OF_EACH_TEXT[:3], *(name for name in fields if name not in Result.model_fields), *OF_EACH_TEXT[3:]]
    chosen: dict[str, Any] = {name: (fields[name].annotation, fields[name]) for name in own}
    return create_model(
        result.__name__.replace("Result", "Answer"),
        __config__=_CONFIG,
        __doc__=f"The part of a {result.__name__} that belongs to one text.",
        __validators__=validators,
        **chosen,
    )


def _answers(result: type[BaseModel], answer: type[BaseModel]) -> type[BaseModel]:
    """The model of a result whose answers are of the model `answer`."""
    fields: dict[str, Any] = {
        name: (field.annotation, field)
        for name, field in result.model_fields.items()
        if name in Result.model_fields and name not in OF_EACH_TEXT
    }
    kind: Any = Annotated[Union[(answer, FailedText)], Field(union_mode="left_to_right")]  # noqa: UP007 # pyright: ignore
    listed: Any = Field(min_length=1, description="The answer to each text, in the order of the texts.")
    return create_model(
        result.__name__.replace("Result", "Answers"),
        __config__=_CONFIG,
        __doc__=f"A {result.__name__} of several texts.",
        **fields,
        answers=(list[kind], listed),  # pyright: ignore[reportInvalidTypeForm]
    )


ClassificationAnswer = _answer(ClassificationResult, checked=model_validator(mode="after")(check_labels))
FillMaskAnswer = _answer(FillMaskResult)
EmbeddingAnswer = _answer(EmbeddingResult)
_RESULTS = (
    _answers(ClassificationResult, ClassificationAnswer),
    _answers(FillMaskResult, FillMaskAnswer),
    _answers(EmbeddingResult, EmbeddingAnswer),
)
_ENRICHMENTS = tuple(without_record(result) for result in _RESULTS)
_KIND: Any = Annotated[Union[_RESULTS], Discriminator("task")]  # noqa: UP007 # pyright: ignore
_ENRICHMENT_KIND: Any = Annotated[Union[_ENRICHMENTS], Discriminator("task")]  # noqa: UP007 # pyright: ignore
ANSWERS: TypeAdapter[Any] = TypeAdapter(_KIND)
ANSWERS_ENRICHMENT: TypeAdapter[Any] = TypeAdapter(_ENRICHMENT_KIND)
