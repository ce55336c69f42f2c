"""Look up the source records of dead letters."""

from typing import Any

from kafka.consumer.fetcher import ConsumerRecord

from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.stream.broker.record_lookup import RecordLookup, RecordPlace
from labelstream.workers.stream.codec.encoding.dead_letters import omission
from labelstream.workers.stream.dlq.dead_letters import DeadLetter


class SourceRecords:
    """Owns and closes a `RecordLookup`."""

    def __init__(self, config: dict[str, Any], kafka: KafkaSettings) -> None:
        self._lookup = RecordLookup(config, kafka, "values that did not fit into their dead letters")

    def find(self, letter: DeadLetter) -> ConsumerRecord | None:
        """The source record whose value `letter` lacks; None if gone. Raises StartError."""
        place = RecordPlace(letter.topic, letter.partition, letter.offset)
        record = self._lookup.find([place])[place]
        return None if isinstance(record, str) or omission(record.value) != letter.omitted else record

    def close(self) -> None:
        self._lookup.close()
