"""A consumer's positions."""

from kafka.structs import TopicPartition


class Positions:
    """The seeking part of a `KafkaConsumer`. `at`: the next offset of each assigned partition."""

    def __init__(self) -> None:
        self.at: dict[TopicPartition, int] = {}

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.at = dict.fromkeys(partitions, 0)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.at[partition] = offset

    def position(self, partition: TopicPartition, timeout_ms: int) -> int:
        return self.at[partition]
