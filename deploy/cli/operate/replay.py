"""`labelstream replay`: resets the committed offsets of a stopped pipeline."""

import sys
from contextlib import closing
from typing import Annotated, Any, NamedTuple

import typer

from labelstream.deploy.cli.common.arguments import parse_topic_partition_offset
from labelstream.deploy.cli.common.completion import complete_pipeline
from labelstream.deploy.cli.common.connect import ConfigFile, connect, load_pipelines, require_pipeline
from labelstream.deploy.cli.common.console import plural, say
from labelstream.deploy.cli.common.times import time_ms
from labelstream.workers.errors import ConfigError, StartError

IDLE_STATES = ("Empty", "Dead")  # of a consumer group: no members, or no such group
Numbers = dict[int, int]  # offsets by partition


class Move(NamedTuple):
    """The change of one partition. `now`: None without a committed offset. `otherwise`: the offset without a replay."""

    partition: int
    now: int | None
    otherwise: int
    then: int

    def effect(self) -> str:
        count = f"up to {plural(abs(self.then - self.otherwise), 'message')}"  # control records have offsets, too
        if self.then > self.otherwise:
            return f"{count} skipped"
        return f"{count} {'more' if self.now is None else 'again'}" if self.then < self.otherwise else "-"


def replay(
    pipeline: Annotated[
        str,
        typer.Argument(
            metavar="PIPELINE", help="Name of the pipeline in the config.", autocompletion=complete_pipeline
        ),
    ],
    config: ConfigFile,
    to_time: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Go to the first message since this time: 2026-11-21T02:57:00Z, or 10m, 2h, 3d ago."
        ),
    ] = None,
    to_earliest: Annotated[bool, typer.Option("--to-earliest", help="Go to the oldest message of the topic.")] = False,
    to_latest: Annotated[
        bool, typer.Option("--to-latest", help="Go to the end: all waiting messages are skipped.")
    ] = False,
    to_offset: Annotated[
        list[str] | None,
        typer.Option(metavar="TOPIC:PARTITION:OFFSET", help="Set one partition to this offset. Repeatable."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the changes without making them.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Reset the committed offsets of a stopped pipeline: back to classify again, or forward to skip messages.

    A message that is classified again gets a result with the same `event_id` as before.
    """
    settings = load_pipelines(config)
    require_pipeline(settings, pipeline, config)
    if sum((to_time is not None, to_earliest, to_latest, bool(to_offset))) != 1:
        raise ConfigError(
            "replay", "needs exactly one of --to-time, --to-earliest, --to-latest, --to-offset", "give one"
        )
    topic, group = settings.pipelines[pipeline].input, settings.group_id(pipeline)
    since_ms = None if to_time is None else time_ms("--to-time", to_time)
    wanted = _wanted(to_offset or [], topic)
    if not (dry_run or yes or sys.stdin.isatty()):
        raise ConfigError("--yes", "is missing, and there is no terminal to ask on", "add --yes or --dry-run")
    from kafka import KafkaAdminClient

    from labelstream.workers.stream.broker.connection import translate_kafka_errors

    broker = connect(settings.required_kafka)
    with translate_kafka_errors(broker.settings), closing(KafkaAdminClient(**broker.config)) as admin:
        _require_stopped(admin, pipeline, group)
        target: Any = wanted or since_ms or ("latest" if to_latest else "earliest")
        moves = _moves(admin, settings.pipelines[pipeline], group, target)
        _show(topic, moves)
        changed = {move.partition: move.then for move in moves if move.then != move.now}
        if dry_run or not changed:
            say("nothing was changed" if dry_run else "nothing to change")
            return
        if not yes and not typer.confirm(f"Set the offsets of group {group}?", err=True):
            say("nothing was changed")
            raise typer.Exit(1)
        _set(admin, pipeline, topic, group, changed)
    say(f"pipeline {pipeline} continues from these offsets at its next start")


def _wanted(places: list[str], topic: str) -> Numbers:
    wanted: Numbers = {}
    for text in places:
        place = parse_topic_partition_offset(text, "--to-offset")
        if place.topic != topic:
            raise ConfigError("--to-offset", f"{place.topic} is not the input topic of the pipeline", f"give {topic}")
        wanted[place.partition] = place.offset
    return wanted


def _require_stopped(admin: Any, pipeline: str, group: str) -> None:
    found = admin.describe_groups([group])[group]
    if found["group_state"] not in IDLE_STATES:
        members = plural(len(found["members"]), "member")
        raise StartError(
            f"pipeline {pipeline} runs: group {group} has {members}; stop the pipeline, and wait until its workers "
            "have left the group"
        )


def _moves(admin: Any, pipeline: Any, group: str, target: Numbers | int | str) -> list[Move]:
    """`target`: offsets by partition, or for all partitions milliseconds since 1970, "earliest" or "latest"."""
    from kafka.structs import TopicPartition

    from labelstream.workers.stream.consumer.offset_reset import next_offset, starts_at_end

    topic = pipeline.input
    found = admin.describe_topics([topic])[0]
    if found["error_code"]:
        raise StartError(f"topic {topic}: does not exist, or no permission to see it; grant DESCRIBE on the topic")
    numbers = sorted(partition["partition_index"] for partition in found["partitions"])
    partitions = [TopicPartition(topic, number) for number in numbers]
    committed = admin.list_group_offsets({group: partitions})[group]
    now = {partition.partition: entry.offset for partition, entry in committed.items() if entry.offset >= 0}
    at_end = starts_at_end(pipeline.start_from, now.values())
    logs = _logs(admin, partitions)
    return [
        Move(number, now.get(number), next_offset(logs[number], now.get(number), at_end), then)
        for number, then in _targets(admin, partitions, logs, target).items()
    ]


def _ask(admin: Any, partitions: list[Any], spec: Any) -> Numbers:
    """`spec`: an OffsetSpec, or milliseconds since 1970, with -1 for a partition without a message since then."""
    answer = admin.list_partition_offsets(dict.fromkeys(partitions, spec))
    return {partition.partition: found.offset for partition, found in answer.items()}


def _logs(admin: Any, partitions: list[Any]) -> dict[int, Any]:
    """The first and the end offset of each partition."""
    from kafka.admin import OffsetSpec  # pyright: ignore[reportAttributeAccessIssue]

    from labelstream.workers.stream.consumer.offset_reset import Log

    first, end = (_ask(admin, partitions, spec) for spec in (OffsetSpec.EARLIEST, OffsetSpec.LATEST))
    return {number: Log(first[number], end[number]) for number in first}


def _targets(admin: Any, partitions: list[Any], logs: dict[int, Any], target: Numbers | int | str) -> Numbers:
    if target == "earliest":
        return {number: log.start for number, log in logs.items()}
    if target == "latest":
        return {number: log.end for number, log in logs.items()}
    if isinstance(target, int):
        return {
            number: found if found >= 0 else logs[number].end
            for number, found in _ask(admin, partitions, target).items()
        }
    assert isinstance(target, dict)
    for number, offset in target.items():
        if number not in logs:
            raise ConfigError("--to-offset", f"no partition {number}", f"the topic has {len(logs)}, from 0 on")
        if not logs[number].start <= offset <= logs[number].end:
            raise ConfigError(
                "--to-offset",
                f"partition {number} has no offset {offset}",
                f"give {logs[number].start} to {logs[number].end}",
            )
    return target


def _show(topic: str, moves: list[Move]) -> None:
    rows = [("partition", "now", "then", "effect")]
    rows += [
        (f"{topic}:{move.partition}", "-" if move.now is None else str(move.now), str(move.then), move.effect())
        for move in sorted(moves)
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        typer.echo("  ".join([row[0].ljust(widths[0]), row[1].rjust(widths[1]), row[2].rjust(widths[2]), row[3]]))


def _set(admin: Any, pipeline: str, topic: str, group: str, offsets: Numbers) -> None:
    from kafka.errors import NoError
    from kafka.structs import TopicPartition

    from labelstream.workers.stream.consumer.assignment import as_kafka

    answer = admin.alter_group_offsets(
        group, as_kafka({TopicPartition(topic, number): offset for number, offset in offsets.items()})
    )
    refused = sorted({error.__name__ for error in answer.values() if error is not NoError})
    if refused:
        raise StartError(
            f"group {group}: the broker refuses new offsets ({', '.join(refused)}); is pipeline {pipeline} running?"
        )
