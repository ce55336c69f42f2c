"""The part that `output_shape: enrich` adds to a record: a result without `id`, `metadata` and texts."""

from typing import Annotated, Any, Union

from pydantic import BaseModel, ConfigDict, Discriminator, Field, TypeAdapter, create_model, model_validator

from labelstream.schemas.result import ClassificationResult, EmbeddingResult, FillMaskResult, Source, check_labels

OF_THE_RECORD = frozenset({"id", "metadata", "text", "text_pair"})


def without_record(result: type[BaseModel], **validators: Any) -> type[BaseModel]:
    """The model of `result` without `OF_THE_RECORD`."""
    fields: dict[str, Any] = {
        name: (field.annotation, field) for name, field in result.model_fields.items() if name not in OF_THE_RECORD
    }
    fields["source"] = (Source, Field(description="The input record."))
    return create_model(
        result.__name__.replace("Result", "Enrichment"),
        __config__=ConfigDict(strict=True, extra="forbid", frozen=True),
        __doc__=f"{result.__name__} without `id`, `metadata` and texts.",
        __validators__=validators,
        **fields,
    )


_MODELS = (
    without_record(ClassificationResult, checked=model_validator(mode="after")(check_labels)),
    without_record(FillMaskResult),
    without_record(EmbeddingResult),
)
_KIND: Any = Annotated[Union[_MODELS], Discriminator("task")]  # noqa: UP007 # pyright: ignore
ENRICHMENT: TypeAdapter[Any] = TypeAdapter(_KIND)
