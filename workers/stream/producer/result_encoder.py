"""Encodes the results of a micro-batch as output records, and chooses the topic of each."""

from datetime import UTC, datetime
from typing import Any

from labelstream.workers.classifier import Embedding, MaskFill, Prediction
from labelstream.workers.records.routes import RouteRule
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.codec.encoding.headers import own_headers, result_headers
from labelstream.workers.stream.codec.encoding.producer_record import Encoded, ProducerRecord
from labelstream.workers.stream.codec.encoding.results import value_encoder
from labelstream.workers.stream.codec.text_list import TextAnswers
from labelstream.workers.stream.micro_batch import Item, Outcome

_RESULTS = (Prediction, MaskFill, Embedding, TextAnswers)


class ResultEncoder:
    """Of one pipeline, whose name is `name`."""

    def __init__(self, name: str, settings: PipelineSettings) -> None:
        self._name, self._settings = name, settings
        self._encode, self._route = value_encoder(name, settings), settings.route
        self._matches = _matches_any if settings.fields.is_list else RouteRule.matches
        self._same_partition = settings.output_partition == "same"
        self._input_timestamp = settings.output_timestamp == "input"

    def encode(self, items: list[Item], answers: list[Outcome | None]) -> list[Encoded | None]:
        """The result of each item with an answer, and each record that passes, with their topics.

        None for other items and revoked partitions. A topic of None: a rule drops the result. Records that pass go to
        the output.
        """
        # Encoding all values before making any record takes less CPU than alternating, because of the CPU caches.
        values = self._values(items, answers)
        return [
            None if value is None and not item.passes else self._record(item, answer, value)
            for item, answer, value in zip(items, answers, values, strict=True)
        ]

    def _values(self, items: list[Item], answers: list[Outcome | None]) -> list[bytes | None]:
        encode, now = self._encode, datetime.now(UTC)
        return [
            encode(item.record, item.message, item.model, answer, now)
            if isinstance(answer, _RESULTS) and item.message is not None and not item.progress.revoked
            else item.record.value
            if item.passes
            else None
            for item, answer in zip(items, answers, strict=True)
        ]

    def _record(self, item: Item, answer: Any, value: bytes | None) -> Encoded:
        record = item.record
        headers = []
        if answer is None:  # passes
            headers = own_headers(record)
        elif record.headers or self._settings.headers == "cloudevents":
            kind = f"{answer.task}.answers" if type(answer) is TextAnswers else answer.task
            headers = result_headers(self._settings.headers, self._name, record, kind)
        result = ProducerRecord(
            value,
            record.key,
            headers,
            record.partition if self._same_partition else None,
            record.timestamp if self._input_timestamp else None,
        )
        if self._route and answer is not None:
            for rule in self._route:
                if self._matches(rule, answer):
                    return result, rule.topic
        return result, self._settings.output


def _matches_any(rule: RouteRule, answer: TextAnswers) -> bool:
    return any(map(rule.matches, answer.answered()))
