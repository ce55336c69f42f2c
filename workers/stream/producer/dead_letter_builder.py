"""Build dead letters, whose reason is chosen before (`codec/rejection.py`), within the size limit of their topic."""

from labelstream.workers.classifier import RecordError
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.codec.encoding.dead_letters import encode_dead_letter
from labelstream.workers.stream.codec.encoding.producer_record import ProducerRecord
from labelstream.workers.stream.codec.rejection import Rejection
from labelstream.workers.stream.codec.text_list import FailedTexts
from labelstream.workers.stream.micro_batch import Item, Outcome, refused
from labelstream.workers.stream.producer.topic_requirements import TopicRequirements


class DeadLetterBuilder:
    """`max_bytes`: known record size limit of the dead-letter topic."""

    def __init__(self, name: str, settings: PipelineSettings, max_bytes: int, requirements: TopicRequirements) -> None:
        self._name, self._topic, self._max_bytes = name, settings.dead_letter, max_bytes
        self._requirements = requirements

    def build(self, item: Item, rejection: Rejection) -> ProducerRecord | None:
        """The complete dead letter; after a refusal without its optional parts; after two refusals None."""
        refusals = len(self._requirements.refusals(self._topic, item))
        if refusals > 1:
            return None
        max_bytes = 0 if refusals else self._max_bytes
        return encode_dead_letter(item.record, rejection, max_bytes, keyed=self._requirements.keyed(self._topic))

    def why_none(self, item: Item) -> str:
        """The error text after `build` returned None."""
        record, error = item.record, self._requirements.refusals(self._topic, item)[-1]
        return (
            f"pipelines.{self._name}.dead_letter: topic {self._topic} refuses every form of the dead letter of "
            f"{record.topic}:{record.partition}:{record.offset} ({type(error).__name__}: {error}); raise the topic's "
            "max.message.bytes, or relax its other settings"
        )


def rejection_of(outcome: Outcome, model: str) -> Rejection:
    """The rejection of a record without a result."""
    if isinstance(outcome, Rejection):
        return outcome
    if isinstance(outcome, FailedTexts):
        return outcome.rejection(model)
    if isinstance(outcome, RecordError):
        return refused(outcome, model)
    raise TypeError("BUG: prediction for a record without a decoded message")
