"""Headers of results, and numbers in headers."""

from collections.abc import Iterable
from typing import Literal

from kafka.consumer.fetcher import ConsumerRecord

from labelstream.schemas.dead_letter import OURS
from labelstream.workers.stream.codec.encoding.producer_record import Headers
from labelstream.workers.stream.codec.encoding.results import event_id

MAX_DIGITS = 18  # of a number in a header: longer numbers overflow int64 and are ignored


def result_headers(mode: Literal["pass", "cloudevents"], pipeline: str, record: ConsumerRecord, kind: str) -> Headers:
    """The input record's own headers; mode "cloudevents" adds CloudEvents 1.0 in Kafka's binary content mode.

    `kind`: task of the result, with `.answers` behind it for several texts.
    """
    headers = own_headers(record) if record.headers else []
    if mode == "cloudevents":
        headers = [item for item in headers if not item[0].startswith("ce_") and item[0] != "content-type"]
        headers += [
            ("ce_specversion", b"1.0"),
            ("ce_id", event_id(pipeline, record).encode()),
            ("ce_source", f"/labelstream/{pipeline}".encode()),
            ("ce_type", f"labelstream.{kind}.v1".encode()),
            ("content-type", b"application/json"),
        ]
    return headers


def own_headers(record: ConsumerRecord, ours: str | tuple[str, ...] = OURS) -> Headers:
    """The record's headers for the producer, which refuses null values: null becomes empty.

    Headers whose names begin with `ours` are dropped: redriven records have such headers.
    """
    return [(name, b"" if value is None else value) for name, value in record.headers if not name.startswith(ours)]


def number_in(headers: Iterable[tuple[str, bytes | None]], name: str, default: int = 0) -> int:
    """The number in the last header of this name; `default` if the header is missing or not a number."""
    value = dict(headers).get(name) or b""
    return int(value) if value.isdigit() and len(value) <= MAX_DIGITS else default
