"""The value of an output record: which settings of its shape go together."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

ENRICH_FIELD = "labelstream"
FIELD_FORM = r'^[^"\\/\x00-\x1f]{1,249}$'
EnrichField = Annotated[str, Field(pattern=FIELD_FORM)]
_OF_ENRICH = {"enrich_field": ENRICH_FIELD, "on_existing": "dead_letter"}


def shape_problems(pipeline: Any) -> Iterator[str]:
    """Settings of a pipeline that have no effect, or would send something else than its output's readers expect."""
    if pipeline.output_shape == "enrich":
        if pipeline.format == "text":
            yield "output_shape enrich adds a field to JSON objects, and format is text; set format to json"
        if pipeline.include_text != "review":
            yield "include_text has no effect with output_shape enrich; remove include_text"
        return
    for key, default in _OF_ENRICH.items():
        if getattr(pipeline, key) != default:
            yield f"{key} has no effect with output_shape result; remove {key}, or set output_shape to enrich"
    if pipeline.on_empty_text == "pass":
        yield "on_empty_text pass sends records to a topic of results; set output_shape to enrich"


def chain_problems(pipelines: Mapping[str, Any]) -> Iterator[str]:
    """Pipelines that enrich what another one enriches under the same field."""
    for name, reader in pipelines.items():
        for other, writer in pipelines.items():
            if (
                (writer.output_shape, reader.output_shape) == ("enrich", "enrich")
                and writer.output == reader.input
                and writer.enrich_field == reader.enrich_field
            ):
                yield (
                    f"pipelines.{name}.enrich_field: {reader.enrich_field} is the field that pipeline {other} adds to "
                    f"the records of {reader.input}; name another field"
                )
