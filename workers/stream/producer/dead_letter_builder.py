"""A rejected record becomes a dead letter, as large as its topic takes."""

from labelstream.workers.classifier import RecordError
from labelstream.workers.settings import PipelineSettings
from labelstream.workers.stream.codec.encode import ProducerRecord, encode_dead_letter
from labelstream.workers.stream.codec.rejection import Rejection
from labelstream.workers.stream.micro_batch import Item, Outcome, refused
from labelstream.workers.stream.producer.topic_rules import TopicRules


class DeadLetterBuilder:
    """`max_bytes`: of a record in the dead-letter topic, as far as is known."""

    def __init__(self, name: str, settings: PipelineSettings, max_bytes: int, rules: TopicRules) -> None:
        self._name, self._topic, self._max_bytes, self._rules = name, settings.dead_letter, max_bytes, rules

    def build(self, item: Item, rejection: Rejection) -> ProducerRecord | None:
        """Whole at first, then without all that can be left out; None when the topic took neither."""
        refusals = len(self._rules.refusals(self._topic, item))
        if refusals > 1:
            return None
        max_bytes = 0 if refusals else self._max_bytes
        return encode_dead_letter(item.record, rejection, max_bytes, keyed=self._rules.keyed(self._topic))

    def why_none(self, item: Item) -> str:
        """For a person; after `build` gave None."""
        record, error = item.record, self._rules.refusals(self._topic, item)[-1]
        return (
            f"pipelines.{self._name}.dead_letter: topic {self._topic} takes the dead letter of {record.topic}:"
            f"{record.partition}:{record.offset} in no form ({type(error).__name__}: {error}); raise its "
            "max.message.bytes, or take away what else of its settings refuses it"
        )


def rejection_of(outcome: Outcome, model: str) -> Rejection:
    """Of a record that has no result."""
    if isinstance(outcome, Rejection):
        return outcome
    if isinstance(outcome, RecordError):
        return refused(outcome, model)
    raise TypeError("a prediction without a message")
