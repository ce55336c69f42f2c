"""`replay`: the target offset of each partition, and the effect."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.admin import OffsetSpec  # pyright: ignore[reportAttributeAccessIssue]
from kafka.errors import NoError
from kafka.structs import TopicPartition

from labelstream.deploy.cli.operate.replay import Move, _moves, _require_stopped, _set, _wanted
from labelstream.workers.errors import ConfigError, StartError
from tests.support.decoding import pipeline
from tests.unit.deploy.cli.conftest import Run, fails

WriteConfig = Callable[..., str]
STARTS, ENDS, COMMITTED, AT_TIME = {0: 2, 1: 0}, {0: 10, 1: 5}, {0: 4}, {0: 7, 1: -1}
PIPELINE = pipeline(start_from="earliest")
ZERO, ONE = TopicPartition("in", 0), TopicPartition("in", 1)


class Admin:
    """A fake KafkaAdminClient with the topic `in`."""

    def __init__(self, state: str = "Empty", missing: bool = False, refusal: type[Exception] | None = None) -> None:
        self._state, self._missing, self._refusal = state, missing, refusal
        self.altered: dict[int, int] = {}

    def describe_groups(self, groups: list[str]) -> dict[str, Any]:
        return {groups[0]: {"group_state": self._state, "members": [{}, {}]}}

    def describe_topics(self, topics: list[str]) -> list[dict[str, Any]]:
        return [
            {
                "name": topic,
                "error_code": 3 if self._missing else 0,
                "authorized_operations": None,
                "partitions": [{"partition_index": n} for n in (1, 0)],
            }
            for topic in topics
        ]

    def list_group_offsets(self, groups: dict[str, list[Any]]) -> dict[str, Any]:
        [(group, places)] = groups.items()
        return {group: {place: SimpleNamespace(offset=COMMITTED.get(place.partition, -1)) for place in places}}

    def list_partition_offsets(self, places: dict[Any, Any]) -> dict[Any, Any]:
        spec = next(iter(places.values()))
        found = AT_TIME if spec == 1_000 else STARTS if spec == OffsetSpec.EARLIEST else ENDS
        return {place: SimpleNamespace(offset=found[place.partition]) for place in places}

    def alter_group_offsets(self, group: str, offsets: dict[Any, Any]) -> dict[Any, Any]:
        self.altered = {place.partition: found.offset for place, found in offsets.items()}
        return dict.fromkeys(offsets, self._refusal or NoError)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "replay: needs exactly one of --to-time"),
        (("--to-earliest", "--to-latest"), "replay: needs exactly one of --to-time"),
        (("--to-time", "yesterday"), "--to-time: 'yesterday' is not a time"),
        (("--to-offset", "other:0:1"), "--to-offset: other is not an input topic of the pipeline; it reads in"),
        (("--to-latest", "--topic", "other"), "--topic: other is not an input topic of the pipeline; it reads in"),
        (("--to-offset", "in:0"), "--to-offset: 'in:0' is not TOPIC:PARTITION:OFFSET"),
    ],
)
def test_invalid_targets_are_refused(
    run: Run, write_config: WriteConfig, arguments: tuple[str, ...], said: str
) -> None:
    fails(run("replay", "feedback", "-c", write_config(), "--dry-run", *arguments), 2, said)


def test_unknown_pipeline_and_missing_yes_are_refused(
    run: Run, write_config: WriteConfig, stdin: Callable[[bytes], None]
) -> None:
    fails(run("replay", "other", "-c", write_config(), "--to-latest"), 2, "no pipeline 'other'", "give one of feedback")
    stdin(b"")
    fails(run("replay", "feedback", "-c", write_config(), "--to-latest"), 2, "--yes: is missing, and there is no term")


def test_group_with_members_is_refused() -> None:
    _require_stopped(Admin(), "p", "g")
    with pytest.raises(StartError, match="pipeline p runs: group g has 2 members; stop the pipeline"):
        _require_stopped(Admin("Stable"), "p", "g")


@pytest.mark.parametrize(
    ("target", "then"),
    [
        ("earliest", {0: 2, 1: 0}),
        ("latest", {0: 10, 1: 5}),
        (1_000, {0: 7, 1: 5}),
        ({ZERO: 3}, {0: 3}),
    ],
)
def test_target_becomes_an_offset_in_each_partition(target: Any, then: dict[int, int]) -> None:
    moves = _moves(Admin(), PIPELINE, "g", target)
    assert {move.partition.partition: move.then for move in moves} == then
    assert {move.partition: (move.now, move.otherwise) for move in moves}[ZERO] == (4, 4)


def test_replay_moves_all_topics_or_the_named_ones() -> None:
    both = pipeline(input=["in", "more"])
    places = [(topic, number) for topic in ("in", "more") for number in (0, 1)]
    assert [move.partition for move in _moves(Admin(), both, "g", "earliest")] == places
    assert [move.partition for move in _moves(Admin(), both, "g", "earliest", ["more"])] == places[2:]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({TopicPartition("in", 2): 0}, "no partition in:2; the topic has 2, from 0 on"),
        ({ZERO: 1}, "no offset 1; give 2 to 10"),
    ],
)
def test_offset_outside_the_log_is_refused(target: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        _moves(Admin(), PIPELINE, "g", target)


def test_missing_topic_is_named() -> None:
    with pytest.raises(StartError, match="topic in does not exist"):
        _moves(Admin(missing=True), PIPELINE, "g", "latest")


@pytest.mark.parametrize(
    ("move", "effect"),
    [
        (Move(ZERO, 4, 4, 2), "up to 2 messages again"),
        (Move(ZERO, 4, 4, 5), "up to 1 message skipped"),
        (Move(ZERO, 4, 4, 4), "-"),
        (Move(ZERO, None, 5, 2), "up to 3 messages more"),
    ],
)
def test_effect_is_a_count_of_messages(move: Move, effect: str) -> None:
    assert move.effect() == effect


def test_refused_offsets_are_reported() -> None:
    admin = Admin()
    _set(admin, "p", "g", _wanted(["in:0:3", "in:1:4"], PIPELINE.inputs))
    assert admin.altered == {0: 3, 1: 4}
    with pytest.raises(StartError, match=r"refuses new offsets \(KeyError\); is pipeline p running"):
        _set(Admin(refusal=KeyError), "p", "g", {ZERO: 3})
