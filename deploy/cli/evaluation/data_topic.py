"""Reads labeled texts from a topic: its records up to their current end, each a JSON object with a true label."""

from pathlib import Path
from typing import TYPE_CHECKING

from labelstream.deploy.cli.common.connect import connect, kafka_settings, reader, require_topic
from labelstream.deploy.cli.evaluation.fields import ExampleReader, RowError, json_object
from labelstream.deploy.cli.topics.record_range import RecordRange

if TYPE_CHECKING:
    from labelstream.workers.evaluation.examples import Examples


def read_data_topic(topic: str, bootstrap: str | None, config: Path | None, examples: ExampleReader) -> "Examples":
    """Joins no group, commits nothing, and hides records of aborted transactions.

    Records that are no JSON object, or have no text or label, are left out, because a topic cannot be corrected. Raises
    StartError if the topic cannot be read, EvaluationError if no record is left.
    """
    broker = connect(kafka_settings(bootstrap, config), named=bool(bootstrap or config))
    require_topic(broker, topic, "READ")
    with reader(broker, [topic], from_beginning=True) as consumer:
        for batch in RecordRange(broker, consumer).all():
            for record in batch:
                _add(f"{topic}:{record.partition}:{record.offset}", record.value, examples)
    return examples.examples(f"topic {topic}")


def _add(place: str, value: object, examples: ExampleReader) -> None:
    row = json_object(value) if isinstance(value, bytes) else None
    if row is None:
        examples.leave_out(f"{place}: not a JSON object")
        return
    try:
        examples.add(place, row)
    except RowError as error:
        examples.leave_out(str(error))
