"""A consumer's positions."""

from kafka.structs import TopicPartition


class Positions:
    """The part of `KafkaConsumer` that moves to offsets: `at` is where each assigned partition is read next."""

    def __init__(self) -> None:
        self.at: dict[TopicPartition, int] = {}

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.at = dict.fromkeys(partitions, 0)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.at[partition] = offset

    def position(self, partition: TopicPartition, timeout_ms: int) -> int:
        return self.at[partition]
