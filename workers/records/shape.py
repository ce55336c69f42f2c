"""`output_shape`: checks of the settings that decide the value of an output record."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

from labelstream.workers.records.inputs import written_by

ENRICH_FIELD = "labelstream"
FIELD_FORM = r'^[^"\\/\x00-\x1f]{1,249}$'
EnrichField = Annotated[str, Field(pattern=FIELD_FORM)]
_ENRICH_DEFAULTS = {"enrich_field": ENRICH_FIELD, "on_existing": "dead_letter"}


def shape_problems(pipeline: Any) -> Iterator[str]:
    """Yield settings that have no effect, or that mix results with other records in the output topic."""
    if pipeline.output_shape == "enrich":
        if pipeline.format == "text":
            yield "output_shape enrich adds a field to JSON objects, and format is text; set format to json"
        if pipeline.include_text != "review":
            yield "include_text has no effect with output_shape enrich; remove include_text"
        if pipeline.headers == "cloudevents":
            yield (
                "headers cloudevents describes results, and output_shape enrich sends records, which keep their own "
                "headers; remove headers"
            )
        return
    for key, default in _ENRICH_DEFAULTS.items():
        if getattr(pipeline, key) != default:
            yield f"{key} has no effect with output_shape result; remove {key}, or set output_shape to enrich"
    if pipeline.on_empty_text == "pass":
        yield "on_empty_text pass sends records to a topic of results; set output_shape to enrich"


def chain_problems(pipelines: Mapping[str, Any]) -> Iterator[str]:
    """Yield a pipeline that gets its own records back, and pipelines that refuse the field of an earlier one.

    A pipeline reads the records of another pipeline directly or through further pipelines.
    """
    for name, pipeline in pipelines.items():
        readers = _readers(name, pipelines, _written)
        back = (
            (topic, other)
            for other in readers
            if other != name
            for topic in pipeline.inputs.among(_written(pipelines[other]))
        )
        topic, last = next(back, ("", None))
        if last is not None:
            yield (
                f"pipelines.{name}.input: {topic} gets the records of pipeline {name} back from pipeline "
                f"{last} in an endless loop; name another topic"
            )
            return
    for other, writer in pipelines.items():
        for name in _readers(other, pipelines, _enriched):
            reader = pipelines[name]
            refuses = reader.output_shape == "enrich" and reader.on_existing == "dead_letter"
            if refuses and reader.enrich_field == writer.enrich_field:
                yield (
                    f"pipelines.{name}.enrich_field: {reader.enrich_field} is the field that pipeline {other} adds to "
                    f"the records of {reader.inputs}; name another field, or set on_existing to replace"
                )


def _written(pipeline: Any) -> Collection[str]:
    return written_by(pipeline)


def _enriched(pipeline: Any) -> Collection[str]:
    return written_by(pipeline).keys() - {pipeline.dead_letter} if pipeline.output_shape == "enrich" else ()


def _readers(name: str, pipelines: Mapping[str, Any], topics: Callable[[Any], Collection[str]]) -> list[str]:
    """Pipelines that read `topics` of the pipeline `name`, directly or through further pipelines."""
    found, written = [], set(topics(pipelines[name]))
    while more := [one for one, reader in pipelines.items() if one not in found and reader.inputs.among(written)]:
        found += more
        written.update(topic for one in more for topic in topics(pipelines[one]))
    return found
