"""`fields`: places of the message's parts in the records of a pipeline."""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from labelstream.workers.records.places import JsonPath, PlaceName, parse_place
from labelstream.workers.section import Section


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _named_as_written(value: Any) -> Any:
    """Convert a list to a dict: `[event.id]` becomes `{event.id: event.id}`."""
    is_list = isinstance(value, list | tuple) and all(isinstance(place, str) for place in value)
    return {place: place for place in value} if is_list else value


class FieldSettings(Section):
    """Places of the parts of a message: a path in the value's JSON, `key`, or `header:NAME`."""

    text: Annotated[
        tuple[PlaceName, ...], BeforeValidator(_one_or_more, json_schema_input_type=PlaceName | list[PlaceName])
    ] = Field(
        default=(),
        description="Place of the text, such as event.message; the texts of several places are joined in order, and"
        " those of one place with [*], such as logs[*].body, get an answer each.",
    )
    text_separator: str | None = Field(
        default=None,
        description="Separator between joined texts; null means a space; set to join the texts of one place with [*].",
    )
    text_pair: PlaceName | None = Field(
        default=None,
        description="Place of the second text, for sentence pairs; for texts of one place with [*], one for all, or a"
        " place with as many [*].",
    )
    id: PlaceName | None = Field(default=None, description="Place of the message's id, which the result repeats.")
    model: PlaceName | None = Field(default=None, description="Place of the name of the model to use.")
    candidate_labels: PlaceName | None = Field(
        default=None, description="Place of the candidate labels; in a header or key, a JSON list."
    )
    hypothesis_template: PlaceName | None = Field(default=None, description="Place of the hypothesis template.")
    multi_label: PlaceName | None = Field(
        default=None, description="Place of a boolean: whether each label is scored independently."
    )
    top_k: PlaceName | None = Field(default=None, description="Place of the number of labels to report.")
    metadata: Annotated[
        dict[str, PlaceName],
        BeforeValidator(_named_as_written, json_schema_input_type=dict[str, PlaceName] | list[PlaceName]),
    ] = Field(
        default_factory=dict,
        description="Places of the values in the result's metadata: a list, or a map from name to place.",
    )

    @property
    def is_list(self) -> bool:
        """Whether the text is a list of texts, with an answer for each."""
        return self.text_separator is None and len(self.text) == 1 and _has_star(self.text[0])

    def problems(self) -> Iterator[str]:
        for name in _ONE_VALUE:
            place = getattr(self, name)
            if not place or not _has_star(place):
                continue
            if name == "text_pair" and self.is_list:
                if place.count("[*]") != self.text[0].count("[*]"):
                    yield f"text_pair {place} and text {self.text[0]} differ in number of [*]; name parallel lists"
            else:
                yield f"{name} takes one value, and {place} names all items of a list; name one item, such as [0]"

    def problems_with(self, format: str, text_field: str | None) -> Iterator[str]:
        """Yield the contradictions between `fields` and the pipeline's `format` and `text_field`."""
        if self.text and text_field:
            yield "text_field and fields.text both name the place of the text; remove one of the two"
        if text_field and _has_star(text_field):
            yield f"text_field takes one value, and {text_field} names several; set fields.text to {text_field} instead"
        if format == "text":
            if self.text:
                yield "fields.text has no effect with format text, whose text is the whole value; remove fields.text"
            for key, place in self._places():
                if isinstance(parse_place(place), JsonPath):
                    yield f"fields.{key}: {place} is a path in JSON; name key or header:NAME, or set format to json"
        elif not self.text and not text_field and any(self._places()):
            yield "fields.text is missing; add the place of the text"

    def _places(self) -> Iterator[tuple[str, str]]:
        """Each place except the text's, with the name of its setting."""
        for name in (*_ONE_VALUE, "candidate_labels"):
            if place := getattr(self, name):
                yield name, place
        for place in self.metadata.values():
            yield "metadata", place


_ONE_VALUE = ("text_pair", "id", "model", "hypothesis_template", "multi_label", "top_k")


def _has_star(written: str) -> bool:
    place = parse_place(written)
    return isinstance(place, JsonPath) and place.has_star
