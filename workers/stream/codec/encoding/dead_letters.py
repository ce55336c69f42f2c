"""Encodes rejected records as dead letters: the input record, with the reason in its headers."""

import hashlib
from importlib.metadata import version

from kafka.consumer.fetcher import ConsumerRecord

from labelstream.schemas.dead_letter import ATTEMPTS, CONNECT, NULL, OURS, REDRIVEN, UNREAD, DeadLetterHeaders, Reason
from labelstream.workers.stream.codec.encoding.headers import number_in, own_headers
from labelstream.workers.stream.codec.encoding.producer_record import Headers, ProducerRecord
from labelstream.workers.stream.codec.rejection import Rejection
from labelstream.workers.stream.record_batch.unread import HeadersLeftOut, Unread

VERSION = version("labelstream")


def omission(value: bytes | None) -> str:
    """Header text for an omitted value: its size and hash, which identify the value, or that it was not read."""
    if isinstance(value, Unread):
        return UNREAD
    value = value or b""
    return f"bytes={len(value)};sha256={hashlib.sha256(value).hexdigest()}"


def made_key(record: ConsumerRecord) -> bytes:
    """Key for a record without a key in a compacted topic, which requires keys."""
    return f"{record.topic}-{record.partition}-{record.offset}".encode()


def encode_dead_letter(
    record: ConsumerRecord, rejection: Rejection, max_bytes: int, keyed: bool = False
) -> ProducerRecord:
    """The input record with the reason in its headers, of at most `max_bytes`.

    A record that is too large loses its value first, then key and own headers. `value_omitted` and `headers_omitted`
    record the loss, also of headers that were too many to read. `attempts` continues the count of a redriven record.
    `keyed`: a record without a key gets a made one, which the header `key_made` records.
    """
    own = own_headers(record, (OURS, CONNECT))
    is_null = record.value is None and rejection.reason != Reason.TOMBSTONE
    missing = UNREAD if isinstance(record.value, Unread) else NULL if is_null else None
    key = made_key(record) if keyed and record.key is None else record.key
    whole = ProducerRecord(record.value or b"", key, own + _headers(record, rejection, key, missing))
    if whole.size <= max_bytes:
        return whole
    omitted = missing or omission(record.value)
    without_value = ProducerRecord(b"", key, own + _headers(record, rejection, key, omitted))
    if without_value.size <= max_bytes:
        return without_value
    key = made_key(record) if keyed else None
    return ProducerRecord(b"", key, _headers(record, rejection, key, omitted, _omitted_headers(own)))


def _omitted_headers(headers: Headers) -> str | None:
    """Header text for omitted headers: their number and size."""
    size = sum(len(name.encode()) + len(value) for name, value in headers)
    return HeadersLeftOut(len(headers), size).told() if headers else None


def _headers(
    record: ConsumerRecord,
    rejection: Rejection,
    key: bytes | None,
    value_omitted: str | None = None,
    headers_omitted: str | None = None,
) -> Headers:
    headers = record.headers
    return DeadLetterHeaders(
        topic=record.topic,
        partition=str(record.partition),
        offset=str(record.offset),
        stage=rejection.stage,
        class_name="labelstream.stream",
        exception_class_name=rejection.error_class,
        exception_message=rejection.message[:1000],
        reason=rejection.reason,
        attempts=str(number_in(record.headers, ATTEMPTS) + rejection.attempts),
        model=rejection.model,
        version=VERSION,
        redriven=str(redriven) if (redriven := number_in(record.headers, REDRIVEN)) else None,
        value_omitted=value_omitted,
        headers_omitted=headers_omitted or (headers.told() if isinstance(headers, HeadersLeftOut) else None),
        key_made=None if key == record.key or key is None else "true",
    ).headers()
