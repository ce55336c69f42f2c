"""Make micro-batches from polled records: decode messages and submit them to their models."""

import time
from collections import Counter
from collections.abc import Callable, Mapping

from kafka.consumer.fetcher import ConsumerRecord

from labelstream.schemas.dead_letter import Reason
from labelstream.workers import tracing
from labelstream.workers.classifier import Classifier
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.call_factory import calls_of
from labelstream.workers.stream.codec.decode import decoder
from labelstream.workers.stream.codec.fields.conditions import ConditionCheck
from labelstream.workers.stream.codec.rejection import DecodeError
from labelstream.workers.stream.codec.request import request_of
from labelstream.workers.stream.consumer.assignment import PartitionProgress
from labelstream.workers.stream.consumer.source import Polled
from labelstream.workers.stream.micro_batch import Item, MicroBatch
from labelstream.workers.stream.record_batch.limits import MAX_HEADER_BYTES, MAX_HEADERS, MAX_KEY_BYTES
from labelstream.workers.stream.record_batch.unread import HeadersLeftOut, Unread


class BatchFactory:
    """Makes the micro-batches of one pipeline. `wake`: called from any thread when a call to a model has ended."""

    def __init__(
        self,
        settings: PipelineSettings,
        classifiers: Mapping[str, Classifier],
        wake: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._classifiers, self._wake, self._clock = settings, classifiers, wake, clock
        self._decode = decoder(settings)
        handling = {Reason.TOMBSTONE: settings.on_tombstone, Reason.EMPTY_TEXT: settings.on_empty_text}
        self._skipped_reasons = frozenset(reason for reason, how in handling.items() if how != "dead_letter")
        has_conditions = bool(settings.only_if) or settings.max_age_s is not None
        self._conditions = ConditionCheck(settings) if has_conditions else None
        self._passed_reasons = frozenset(reason for reason, how in handling.items() if how == "pass")

    def decode_and_submit(self, polled: Polled, polled_at: float, weight: int) -> MicroBatch:
        """Decode and submit polled records. `polled_at`: end of the poll in monotonic seconds; `weight`: in bytes."""
        items = [item for progress, records in polled for item in self._items(records, progress)]
        last_offsets = [(progress, records[-1].offset) for progress, records in polled]
        records_by_partition = Counter({progress.name: len(records) for progress, records in polled})
        headers = (record.headers for _, records in polled for record in records)
        topics = {progress.partition.topic for progress, _ in polled}
        span = tracing.micro_batch(topics, headers, len(items))
        with tracing.within(span):
            calls, text_rows = calls_of(items, self._classifiers, self._clock, self._wake)
        return MicroBatch(
            items, calls, last_offsets, records_by_partition, polled_at, span, weight, self._clock, text_rows
        )

    def _items(self, records: list[ConsumerRecord], progress: PartitionProgress) -> list[Item]:
        """Items of one partition. A record with a reason in `_skipped_reasons` becomes a skipped item."""
        decode, default_model, conditions = self._decode, self._settings.model, self._conditions
        if progress.condemned is not None:
            return [Item(record, progress, rejection=progress.condemned) for record in records]
        items: list[Item] = []
        for record in records:
            try:
                if type(record.value) is Unread:
                    raise DecodeError(record.value.reason, record.value.problem)
                if conditions is not None and (unmet := _unmet(conditions, record)):
                    items.append(self._skipped(record, progress, self._settings.otherwise == "pass", unmet))
                    continue
                if record.value is None:
                    raise DecodeError(Reason.TOMBSTONE, "the record has no value")
                if _is_oversized(record):
                    raise _oversized(record)
                tree = None if conditions is None else conditions.tree
                message = decode(record.value, record.key, record.headers, tree)
                model = message.model or default_model
                items.append(Item(record, progress, message, model, request=request_of(message)))
            except DecodeError as error:
                items.append(self._unread(record, progress, error))
        return items

    def _unread(self, record: ConsumerRecord, progress: PartitionProgress, error: DecodeError) -> Item:
        """Of a record that gets no answer."""
        if error.reason not in self._skipped_reasons:
            return Item(record, progress, rejection=error.rejection())
        return self._skipped(record, progress, error.reason in self._passed_reasons, error.reason.value)

    def _skipped(self, record: ConsumerRecord, progress: PartitionProgress, passes: bool, why: str) -> Item:
        if passes and _is_oversized(record):  # what was not read could not be passed on
            return Item(record, progress, rejection=_oversized(record).rejection())
        return Item(record, progress, passes=passes, skipped=why)


def _unmet(conditions: ConditionCheck, record: ConsumerRecord) -> str:
    """The setting whose condition the record does not meet, or "". `on_tombstone` decides on one without a value.

    Raises DecodeError if the record cannot be judged.
    """
    if conditions.reads_headers() and type(record.headers) is HeadersLeftOut:
        raise _oversized(record)
    if not conditions.takes(record.timestamp, record.headers):
        return "max_age_s" if conditions.is_too_old(record.timestamp) else "only_if"
    return "" if record.value is None or conditions.takes_value(record.value) else "only_if"


def _is_oversized(record: ConsumerRecord) -> bool:
    return type(record.headers) is HeadersLeftOut or len(record.key or b"") > MAX_KEY_BYTES


def _oversized(record: ConsumerRecord) -> DecodeError:
    headers = record.headers
    if isinstance(headers, HeadersLeftOut):
        return DecodeError(
            Reason.TOO_LARGE,
            f"{headers.number} headers in {headers.size} bytes; the limit is {MAX_HEADERS} in {MAX_HEADER_BYTES} bytes",
        )
    return DecodeError(Reason.TOO_LARGE, f"the key has {len(record.key)} bytes; the limit is {MAX_KEY_BYTES}")
