"""Who decides where partitions without an offset begin, and when: with a consumer that only remembers."""

from typing import Any

import pytest
from kafka.errors import CommitFailedError, KafkaTimeoutError
from kafka.structs import OffsetAndTimestamp, TopicPartition

from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.consumer.start_offsets import GroupHistory, StartOffsets

P0, P1, P2 = (TopicPartition("in", number) for number in range(3))
OTHER = TopicPartition("other", 0)
Offsets = dict[TopicPartition, int]


class Group:
    """A consumer and its membership: a topic with three partitions that hold `start`..99."""

    def __init__(self, held: set[TopicPartition], committed: Offsets) -> None:
        self.held, self.offsets, self.sought = held, committed, Offsets()
        self.start, self.first_young = 40, 40
        self.elsewhere = False  # the group has an offset in a topic that the pipeline does not read
        self.commit_error: Exception | None = None
        self.fetch_error: Exception | None = None

    def assignment(self) -> set[TopicPartition]:
        return self.held

    def partitions_for_topic(self, topic: str) -> set[int]:
        return {0, 1, 2}

    def beginning_offsets(self, partitions: list[TopicPartition], timeout_ms: int) -> Offsets:
        return dict.fromkeys(partitions, self.start)

    def end_offsets(self, partitions: list[TopicPartition], timeout_ms: int) -> Offsets:
        return dict.fromkeys(partitions, 100)

    def offsets_for_times(self, times: Offsets, timeout_ms: int) -> dict[TopicPartition, Any]:
        return {partition: OffsetAndTimestamp(self.first_young, time, 0) for partition, time in times.items()}

    def committed(self, partitions: list[TopicPartition], timeout_ms: int) -> Offsets:
        if self.fetch_error is not None:
            raise self.fetch_error
        return {partition: self.offsets[partition] for partition in partitions if partition in self.offsets}

    def has_offsets(self, timeout_ms: int) -> bool:
        return bool(self.offsets) or self.elsewhere

    def commit(self, offsets: dict[TopicPartition, Any], timeout_ms: int) -> None:
        if self.commit_error is not None:
            raise self.commit_error
        self.offsets |= {partition: entry.offset for partition, entry in offsets.items()}

    def seek(self, partition: TopicPartition, offset: int) -> None:
        if partition not in self.held:
            raise ValueError("Unassigned partition")
        self.sought[partition] = offset


def starting(
    group: Any, start_from: str = "latest", seen: bool = False, waited: bool = False, **more: Any
) -> StartOffsets:
    settings = PipelineSettings.model_validate(
        {"input": "in", "output": "out", "dead_letter": "dead", "model": "m", "start_from": start_from, **more}
    )
    topics = lambda: {"in"} | {partition.topic for partition in group.offsets}  # noqa: E731
    return StartOffsets(group, settings, group, GroupHistory({"in"} if seen else set(), waited), topics)


def test_who_holds_the_first_partition_decides_for_all() -> None:
    group = Group({P0, P1}, {})
    assert starting(group).begin([P0, P1]) == {P0: 100, P1: 100, P2: 100}
    assert group.sought == {P0: 100, P1: 100}


def test_the_others_wait_for_it() -> None:
    group = Group({P1, P2}, {})
    made = starting(group)
    assert made.begin([P1, P2]) == {}
    assert group.offsets == {}
    group.offsets = {P0: 90, P1: 90, P2: 90}  # it has decided, after we were told of no offset
    assert made.begin([P1, P2]) == {}
    assert group.offsets == {P0: 90, P1: 90, P2: 90}
    assert group.sought == {}  # the next poll finds them


@pytest.mark.parametrize("start_from", ["earliest", "latest"])
def test_one_committed_offset_starts_others_at_beginning(start_from: str) -> None:
    group = Group({P2}, {P0: 55})
    assert starting(group, start_from).begin([P2]) == {P2: 40}
    assert group.offsets == {P0: 55, P2: 40}


def test_one_that_has_got_its_offset_meanwhile_is_left_alone() -> None:
    group = Group({P0, P1}, {P0: 55})
    assert starting(group).begin([P0, P1]) == {P1: 40}
    assert group.sought == {P1: 40}
    assert group.offsets == {P0: 55, P1: 40}


def test_nobody_waits_with_earliest() -> None:
    assert starting(Group({P1}, {}), "earliest").begin([P1]) == {P1: 40}


def test_a_group_that_had_offsets_is_not_new() -> None:
    assert starting(Group({P0, P1, P2}, {}), seen=True).begin([P0, P1, P2]) == {P0: 40, P1: 40, P2: 40}


def test_offset_in_another_topic_starts_topic_at_beginning() -> None:
    group = Group({P0}, {OTHER: 7})
    assert starting(group).begin([P0]) == {P0: 40}
    elsewhere = Group({P0}, {})
    elsewhere.elsewhere = True
    assert starting(elsewhere).begin([P0]) == {P0: 40}


def test_topic_that_appears_while_running_is_read_whole() -> None:
    assert starting(Group({P0}, {}), waited=True).begin([P0])[P0] == 40


def test_what_is_not_committed_is_not_decided() -> None:
    group = Group({P0}, {})
    group.commit_error = CommitFailedError()
    made = starting(group, on_offset_out_of_range="earliest")
    assert made.begin([P0]) == {}
    assert group.sought == {}
    assert made.jump({P0: 10}) == {}
    assert group.sought == {}
    group.commit_error = None
    assert made.begin([P0]) == {P0: 100, P1: 100, P2: 100}  # as new as before


def test_offsets_that_cannot_be_read_yet_decide_nothing() -> None:
    group = Group({P0}, {})
    group.fetch_error = KafkaTimeoutError()
    assert starting(group).begin([P0]) == {}
    assert group.offsets == {}


@pytest.mark.parametrize(
    ("first_young", "seen", "committed", "said"),
    [
        (0, False, {}, "INFO in: the group is new: it reads partitions 0, 1 from the start, 200 messages"),
        (0, False, {OTHER: 7}, "INFO in: the topic is new to the group: it reads partitions 0, 1 from the start, "),
        (
            50,
            False,
            {OTHER: 7},
            "WARNING in: the group has offsets in other topics: this topic is new, or its offsets ",
        ),
        (0, False, {P2: 7}, "INFO in: partitions are new to the group: it reads partitions 0, 1 from the start, "),
        (50, False, {}, "WARNING in: the group has no offset in this topic: it is new, or its offsets have expired: "),
        (0, True, {}, "WARNING in: the group's offsets in this topic are gone: the topic was recreated"),
    ],
)
def test_a_start_is_one_line_and_warns_of_repeats_if_possible(
    first_young: int, seen: bool, committed: Offsets, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    group = Group({P0, P1}, committed)
    group.start, group.first_young = 0, first_young
    with caplog.at_level("INFO"):
        starting(group, "earliest", seen=seen).begin([P0, P1])
    [line] = caplog.records
    text = f"{line.levelname} {line.getMessage()}"
    assert text.startswith(said)
    assert text.endswith(", which may have been classified before") is (line.levelname == "WARNING")


def test_young_messages_behind_lost_ones_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    starting(Group({P0}, {}), "earliest").begin([P0])
    assert caplog.messages == [
        "in: the group has no offset in this topic: it is new, or its offsets have expired: it reads partition 0 from "
        "the start, 60 messages, which may have been classified before; 40 messages before them were deleted by "
        "retention"
    ]
