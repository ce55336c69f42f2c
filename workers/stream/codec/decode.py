"""Decodes an input record to a TextMessage, or raises the reason for its dead letter."""

from codecs import BOM_UTF8
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from labelstream.schemas.dead_letter import Reason
from labelstream.schemas.message import TextMessage
from labelstream.workers.records.fields import FieldSettings
from labelstream.workers.records.places import parse_path
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.codec.decode_json import read_message
from labelstream.workers.stream.codec.encoding.enrich import Enricher
from labelstream.workers.stream.codec.fields.reader import FieldReader, Headers
from labelstream.workers.stream.codec.fields.text_field import Check, read_text_field, text_alone
from labelstream.workers.stream.codec.fields.text_list import TextListReader
from labelstream.workers.stream.codec.json_values import encoding_error
from labelstream.workers.stream.codec.rejection import DecodeError
from labelstream.workers.stream.codec.request import check_message


class Decode(Protocol):
    """Reads the value, key and headers of a record. Raises `DecodeError` and nothing else.

    `tree`: the value as `parse_leniently` reads it, if it is known.
    """

    def __call__(
        self, value: bytes, key: bytes | None = None, headers: Headers = (), tree: Any = None
    ) -> TextMessage: ...


def decoder(pipeline: PipelineSettings) -> Decode:
    """The function that decodes this pipeline's records and checks their limits."""
    limits, allowed = pipeline.limits, frozenset(pipeline.allowed_models)
    read = _reader(pipeline)

    def decode(value: bytes, key: bytes | None = None, headers: Headers = (), tree: Any = None) -> TextMessage:
        if len(value) > limits.max_message_bytes:
            raise DecodeError(
                Reason.TOO_LARGE, f"{len(value)} bytes exceed limits.max_message_bytes ({limits.max_message_bytes})"
            )
        message = read(value.removeprefix(BOM_UTF8), key, headers, tree)
        check_message(message, limits)
        if message.model is not None and message.model not in allowed:
            raise DecodeError(Reason.UNKNOWN_MODEL, "the model is not in the pipeline's models; add it there")
        return message

    return decode


def _reader(pipeline: PipelineSettings) -> Callable[[bytes, bytes | None, Headers, Any], TextMessage]:
    check = _enrich_check(pipeline) if pipeline.output_shape == "enrich" else None
    if pipeline.fields.is_list:
        return TextListReader(pipeline, check).read
    if pipeline.fields != FieldSettings():
        return FieldReader(pipeline, check).read
    if pipeline.format == "text":
        return _read_plain
    if pipeline.text_field is None:
        return read_message if check is None else partial(read_message, check=check)
    return partial(read_text_field, path=parse_path(pipeline.text_field), check=check)


def _enrich_check(pipeline: PipelineSettings) -> Check:
    enricher = Enricher(pipeline.enrich_field, pipeline.on_existing == "replace")

    def check(message: TextMessage, value: bytes, tree: Any) -> None:
        # A record with a blank text is not enriched: `on_empty_text` decides what happens to it.
        if message.text and not message.text.isspace():
            enricher.check(value, tree)

    return check


def _read_plain(value: bytes, key: object, headers: object, tree: object) -> TextMessage:
    if (other := encoding_error(value)) is not None:
        raise other
    return text_alone(value.decode("utf-8"))
