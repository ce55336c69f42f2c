"""Decodes a record to a TextMessage by the places in `fields`."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError
from pydantic_core import to_json

from labelstream.schemas.dead_letter import Reason
from labelstream.schemas.message import TextMessage, Verbatim
from labelstream.workers.records.fields import FieldSettings
from labelstream.workers.records.places import Header, JsonPath, Key, Place, parse_path, parse_place
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.codec.decode_json import invalid, read_metadata
from labelstream.workers.stream.codec.fields.lookup import Nothing, find, find_all
from labelstream.workers.stream.codec.fields.metadata import NEGATIVE_ZERO, InexactFloat, encoded
from labelstream.workers.stream.codec.fields.sparse_value import SparseValue
from labelstream.workers.stream.codec.fields.text_field import Check, no_text, wrong_kind
from labelstream.workers.stream.codec.json_values import encoding_error, parse, parse_leniently
from labelstream.workers.stream.codec.rejection import DecodeError

Headers = Sequence[tuple[str, bytes | None]]
_JSON_IN_HEADERS = frozenset({"candidate_labels", "multi_label", "top_k"})
_SCALARS = ("text_pair", "id", "model", "hypothesis_template", "multi_label", "top_k")


class Record(NamedTuple):
    """`tree`: the parsed value, or a SparseValue if the parser refuses the value."""

    tree: Any
    key: bytes | None
    headers: Headers


class FieldReader:
    """Decodes the records of one pipeline by its `fields`."""

    def __init__(self, pipeline: PipelineSettings, check: Check | None = None) -> None:
        """`check`: further checks, called with the message, the value and the parsed tree (None if not parsed)."""
        fields, self._check = pipeline.fields, check
        self._plain = pipeline.format == "text"
        self._separator = " " if fields.text_separator is None else fields.text_separator
        self._texts = [parse_place(place) for place in fields.text]
        self._named = " or ".join(fields.text)
        self._only_text = _only_path(self._texts)
        self._text_field = parse_path(pipeline.text_field) if pipeline.text_field else None
        self._scalars = _places(fields, _SCALARS)
        self._labels = _places(fields, ("candidate_labels",))
        self._metadata = [(to_json(name).decode(), parse_place(place)) for name, place in fields.metadata.items()]
        self._validate = TextMessage.__pydantic_validator__.validate_python
        self._floats: Literal["float", "lossless-float"] = "float"

    def read(self, value: bytes, key: bytes | None, headers: Headers, tree: Any = None) -> TextMessage:
        """Decode one record. `tree`: the parsed value, if known. Raises DecodeError."""
        record = Record(self._parse(value, tree), key, headers)
        message = self._text_members(record)
        if not message["text"].strip():  # then the other places do not matter
            raise DecodeError(Reason.EMPTY_TEXT, "fields.text: the text is empty or blank")
        for name, place in self._scalars:
            if (found := self._scalar(record, name, place)) is not None:
                message[name] = found
        for name, place in self._labels:
            message[name] = self._list(record, name, place)
        if self._metadata:
            try:
                message["metadata"] = self._members(record)
            except InexactFloat:
                # Parsing keeps the digits of floats at 4 us a record. The next records have floats as well.
                self._floats = "lossless-float"
                message["metadata"] = self._members(record._replace(tree=self._parse(value)))
        try:
            read = self._validate(message)
        except ValidationError as error:
            wrong = invalid(message, error)
            raise DecodeError(wrong.reason, f"fields.{wrong.message}") from None
        if self._check is not None:
            self._check(read, value, None if type(record.tree) is SparseValue else record.tree)
        return read

    def _parse(self, value: bytes, tree: Any = None) -> Any:
        if self._plain:
            if (other := encoding_error(value)) is not None:
                raise other
            return value.decode()
        try:
            if tree is None or self._floats != "float":
                tree = parse_leniently(value, self._floats)
        except ValueError as error:
            return SparseValue(value, str(error), "fields")
        return SparseValue(value, "", "fields") if self._metadata and NEGATIVE_ZERO.search(value) else tree

    def _text_members(self, record: Record) -> dict[str, Any]:
        """The text as a field of the message."""
        if self._plain:
            return {"text": record.tree}
        if (path := self._text_field) is not None:
            found = _find_texts(record.tree, path)[0]
            return {"text": found if type(found) is str else no_text(found, path)}
        if self._only_text is not None and type(found := _find_texts(record.tree, self._only_text)[0]) is str:
            return {"text": found}
        parts = [part for place in self._texts for part in self._parts(record, place)]
        if not parts:
            raise DecodeError(Reason.EMPTY_TEXT, f"fields.text: no text at {self._named}")
        return {"text": self._separator.join(parts)}

    def _parts(self, record: Record, place: Place) -> list[str]:
        """The texts at a place, without those that are missing or null."""
        if not isinstance(place, JsonPath):
            found = _key_or_header_text(record, "text", place)
            return [] if found is None else [found]
        parts = []
        for found in _find_texts(record.tree, place):
            if type(found) is str:
                parts.append(found)
            elif not is_absent(found):
                raise DecodeError(Reason.INVALID_MESSAGE, f"fields.text {wrong_kind(found, place, 'a string')}")
        return parts

    def _scalar(self, record: Record, name: str, place: Place) -> Any:
        """The value at a place without a star; None if it is missing or null."""
        if not isinstance(place, JsonPath):
            return _key_or_header(record, name, place)
        found = _find(record.tree, place)
        if type(found) is not Nothing or found.is_absent:
            return None if type(found) is Nothing else found
        raise DecodeError(Reason.INVALID_MESSAGE, f"fields.{name} {wrong_kind(found, place, '')}")

    def _list(self, record: Record, name: str, place: Place) -> Any:
        """The value at a place; for a path with a star the list of its values."""
        if not (isinstance(place, JsonPath) and place.has_star):
            return self._scalar(record, name, place)
        found = [value for value in _find_all(record.tree, place) if not is_absent(value)]
        for value in found:
            if type(value) is Nothing:
                raise DecodeError(Reason.INVALID_MESSAGE, f"fields.{name} {wrong_kind(value, place, '')}")
        return found or None

    def _members(self, record: Record) -> Verbatim:
        """JSON of the metadata. Raises InexactFloat for floats that were not parsed losslessly."""
        members = [self._member(record, name, place) for name, place in self._metadata]
        return Verbatim("{" + ",".join([member for member in members if member]) + "}")

    def _member(self, record: Record, name: str, place: Place) -> str | None:
        """JSON member of the metadata; None if the value is missing. A path with a star gives a list."""
        if not isinstance(place, JsonPath):
            found = _key_or_header_text(record, "metadata", place)
            return None if found is None else f"{name}:{to_json(found).decode()}"
        is_sparse = type(record.tree) is SparseValue
        found = record.tree.raw(place) if is_sparse else _find_all(record.tree, place)
        values = [
            _raw_metadata(value.text, place.written) if is_sparse else encoded(value, place.written)
            for value in found
            if type(value) is not Nothing
        ]
        if place.has_star:
            return f"{name}:[{','.join(values)}]"
        return f"{name}:{values[0]}" if values else None


def _places(fields: FieldSettings, names: tuple[str, ...]) -> list[tuple[str, Place]]:
    return [(name, parse_place(place)) for name in names if (place := getattr(fields, name)) is not None]


def _only_path(places: list[Place]) -> JsonPath | None:
    """The path of the text if it is the only place and has no star, as in most pipelines."""
    path = places[0] if len(places) == 1 else None
    return path if isinstance(path, JsonPath) and not path.has_star else None


def _find_texts(tree: Any, path: JsonPath) -> list[Any]:
    return tree.texts(path) if type(tree) is SparseValue else _find_all(tree, path)


def _find(tree: Any, path: JsonPath) -> Any:
    return tree.values(path)[0] if type(tree) is SparseValue else find(tree, path)


def _find_all(tree: Any, path: JsonPath) -> list[Any]:
    if type(tree) is SparseValue:
        return tree.values(path)
    return find_all(tree, path) if path.has_star else [find(tree, path)]


def is_absent(found: Any) -> bool:
    return found.is_absent if type(found) is Nothing else found is None


def _raw_metadata(text: bytes, place: str) -> str:
    read_metadata(text, f"fields.metadata {place}")
    return text.decode()


def _key_or_header(record: Record, name: str, place: Header | Key) -> Any:
    """The value in the key or a header, with lists, numbers and booleans as JSON; None if it is missing."""
    found = _key_or_header_text(record, name, place)
    if found is None or name not in _JSON_IN_HEADERS:
        return found
    try:
        return parse(found.encode())
    except ValueError:
        raise DecodeError(Reason.INVALID_MESSAGE, f"fields.{name} {_name_of(place)}: invalid JSON") from None


def _key_or_header_text(record: Record, name: str, place: Header | Key) -> str | None:
    value = record.key if isinstance(place, Key) else dict(record.headers).get(place.name)
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        raise DecodeError(Reason.INVALID_ENCODING, f"fields.{name} {_name_of(place)}: not UTF-8; send UTF-8") from None


def _name_of(place: Header | Key) -> str:
    return "key" if isinstance(place, Key) else f"header:{place.name}"
