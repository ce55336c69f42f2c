"""Decodes a record to a TextList: each value at a path with stars is a text."""

from itertools import islice
from typing import Any

from labelstream.schemas.dead_letter import Reason
from labelstream.workers.records.places import JsonPath, parse_path, parse_place
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.codec.fields.lookup import Nothing, find_items
from labelstream.workers.stream.codec.fields.reader import FieldReader, Record, is_absent
from labelstream.workers.stream.codec.fields.sparse_value import Raw, SparseValue
from labelstream.workers.stream.codec.fields.text_field import Check, wrong_kind
from labelstream.workers.stream.codec.json_values import kind_of
from labelstream.workers.stream.codec.rejection import DecodeError
from labelstream.workers.stream.codec.text_list import ListedText, TextList, told

Indexes = tuple[int, ...]


class TextListReader(FieldReader):
    """Decodes the records of one pipeline whose `fields.text` is one path with stars."""

    def __init__(self, pipeline: PipelineSettings, check: Check | None = None) -> None:
        super().__init__(pipeline, check)
        fields, self._max_texts = pipeline.fields, pipeline.limits.max_texts
        self._path = parse_path(fields.text[0])
        pair = None if fields.text_pair is None else parse_place(fields.text_pair)
        self._pair = pair if isinstance(pair, JsonPath) and pair.has_star else None
        if self._pair is not None:
            self._scalars = [(name, place) for name, place in self._scalars if name != "text_pair"]
        self._validate = TextList.__pydantic_validator__.validate_python

    def _text_members(self, record: Record) -> dict[str, Any]:
        found = self._found(record, self._path, "text")
        pairs: list[Any] = [None] * len(found)
        if self._pair is not None:
            by_indexes = self._found(record, self._pair, "text_pair")
            if list(by_indexes) != list(found):
                problem = f"fields.text_pair {self._pair.written}: the list differs in length from {self._path.written}"
                raise DecodeError(Reason.INVALID_MESSAGE, f"{problem}; send a pair, or null, for each text")
            pairs = list(by_indexes.values())
        texts = tuple(self._listed(record, text, pair) for text, pair in zip(found.values(), pairs, strict=True))
        good = [text.text for text in texts if text.rejection is None]
        if not good:
            raise self._all_failed(texts)
        return {"text": " ".join(good), "texts": texts}

    def _found(self, record: Record, path: JsonPath, name: str) -> dict[Indexes, Any]:
        """The values at `path` by their indexes in the lists. Raises DecodeError."""
        tree = record.tree.tree(path) if type(record.tree) is SparseValue else record.tree
        found = dict(islice(find_items(tree, path.parts), self._max_texts + 1))
        if len(found) > self._max_texts:
            problem = f"fields.{name} {path.written}: more than limits.max_texts ({self._max_texts}) values"
            raise DecodeError(Reason.TOO_LARGE, f"{problem}; send fewer in a record, or raise the limit")
        stars = path.parts.count(None)
        for indexes, value in found.items():
            if len(indexes) < stars:  # no list: the number of its texts is not known
                raise DecodeError(Reason.INVALID_MESSAGE, f"fields.{name} {wrong_kind(value, path, 'a list')}")
        return found

    def _listed(self, record: Record, text: Any, pair: Any) -> ListedText:
        read = ""
        try:
            read = _string(record, text, "text") or ""
            read_pair = None if self._pair is None else _string(record, pair, "text_pair")
            if not read or read.isspace():
                raise DecodeError(Reason.EMPTY_TEXT, "the text is missing, empty or blank")
        except DecodeError as error:
            return ListedText(read, None, error.rejection())
        return ListedText(read, read_pair)

    def _all_failed(self, texts: tuple[ListedText, ...]) -> DecodeError:
        """The error of the first text that is not blank, else of the first."""
        rejections = [text.rejection for text in texts if text.rejection is not None]
        if not rejections:
            return DecodeError(Reason.EMPTY_TEXT, f"fields.text: no text at {self._path.written}")
        first = next((one for one in rejections if one.reason is not Reason.EMPTY_TEXT), rejections[0])
        return DecodeError(first.reason, f"{told(rejections, rejections.index(first))}: {first.message}")


def _string(record: Record, value: Any, name: str) -> str | None:
    """The string `value`; None if the value is missing or null. Raises DecodeError."""
    found = record.tree.text(value.text.strip(), name) if type(value) is Raw else value
    if type(found) is str:
        return found
    if is_absent(found):
        return None
    problem = f"{found.at} must be {found.needed}" if type(found) is Nothing else f"the {name} must be a string"
    kind = kind_of(found.actual if type(found) is Nothing else found)
    raise DecodeError(Reason.INVALID_MESSAGE, f"{problem}, not {kind}")
