"""Topics and partitions of the output that are not there: waited for, and told."""

from types import SimpleNamespace
from typing import Any

from kafka.structs import TopicPartition

from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.codec.encoding.producer_record import ProducerRecord
from labelstream.workers.stream.consumer.assignment import PartitionProgress
from labelstream.workers.stream.producer import output_partitions
from labelstream.workers.stream.producer.output_partitions import OutputPartitions
from tests.support.clock import Clock

SETTINGS = PipelineSettings.model_validate(
    {"input": "in", "output": "out", "dead_letter": "dlq", "model": "m", "output_partition": "same"}
)


FIVE = TopicPartition("in", 5)


def placed(
    found: OutputPartitions, topic: str, source: TopicPartition, key: bytes | None = None, partition: int | None = None
) -> ProducerRecord:
    record = ProducerRecord(b"v", key, [], partition)
    found.place(topic, record, source)
    return record


class TestDestinations:
    @staticmethod
    def batch(*numbers: int, revoked: bool = False) -> Any:
        return SimpleNamespace(
            last_offsets=[(PartitionProgress(TopicPartition("in", number), revoked=revoked), 0) for number in numbers]
        )

    @staticmethod
    def made(
        known: dict[str, set[int]], settings: PipelineSettings = SETTINGS
    ) -> tuple[OutputPartitions, list[Any], Clock]:
        asked: list[Any] = []
        clock = Clock()
        producer: Any = SimpleNamespace(partitions=lambda topic: known.get(topic, set()), look_for=asked.append)
        return OutputPartitions(settings, producer, clock), asked, clock

    def test_a_partition_that_is_missing_is_looked_for_and_told(self) -> None:
        known = {"out": {0, 1}, "dlq": {0}}
        found, asked, clock = self.made(known)
        assert found.ready_for(self.batch(0, 1))
        assert not found.ready_for(self.batch(1, 2, 4))
        assert (asked, found.lacking()) == ([["out", "dlq"]], {})  # it may be known in a moment
        clock.now += output_partitions.TELL_S + 0.1
        assert not found.ready_for(self.batch(1, 2, 4))
        text = found.lacking()["destination"]
        assert "topic out has no partition 2, 4 " in text
        assert "--alter --topic out --partitions 5" in text
        assert len(asked) == 2
        known["out"] = set(range(5))
        assert found.ready_for(self.batch(1, 2, 4))
        assert found.lacking() == {}

    def test_what_was_taken_away_needs_no_partition(self) -> None:
        found, _, _ = self.made({"out": {0}, "dlq": {0}})
        assert found.ready_for(self.batch(3, revoked=True))

    def test_by_key_every_partition_will_do(self) -> None:
        found, _, _ = self.made({"out": {0}, "dlq": {0}}, SETTINGS.model_copy(update={"output_partition": "key"}))
        assert found.ready_for(self.batch(3))

    def test_record_without_key_follows_its_input_partition(self) -> None:
        found, _, _ = self.made({"out": {0, 1, 2}, "dlq": {0}}, SETTINGS.model_copy(update={"output_partition": "key"}))
        assert found.ready_for(self.batch(0))
        assert [placed(found, topic, FIVE).partition for topic in ("out", "dlq")] == [2, 0]
        assert placed(found, "out", FIVE, key=b"").partition is None
        assert placed(found, "out", FIVE, partition=1).partition == 1

    def test_several_inputs_without_keys_share_the_partitions(self) -> None:
        several = SETTINGS.model_copy(update={"input": ("a", "b"), "output_partition": "key"})
        found, _, _ = self.made({"out": set(range(8)), "dlq": {0}}, several)
        assert found.ready_for(self.batch(0))
        sources = [TopicPartition(f"t{n}", 0) for n in range(40)]
        places = [placed(found, "out", source).partition for source in sources]
        assert len(set(places)) == 8
        assert places == [placed(found, "out", source).partition for source in sources]

    def test_a_topic_that_is_gone_is_waited_for(self) -> None:
        found, _, clock = self.made({"out": {0}})
        assert not found.ready_for(self.batch(0))
        clock.now += output_partitions.TELL_S + 0.1
        assert "topic dlq does not exist" in found.lacking()["destination"]
