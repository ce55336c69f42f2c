"""`labelstream replay`: resets the committed offsets of a stopped pipeline."""

import sys
from collections.abc import Sequence
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
Offsets = dict[Any, int]  # by TopicPartition


class Move(NamedTuple):
    """The change of one TopicPartition. `now`: None without an offset. `otherwise`: the offset without a replay."""

    partition: Any
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
    to_earliest: Annotated[bool, typer.Option("--to-earliest", help="Go to the oldest message of each topic.")] = False,
    to_latest: Annotated[
        bool, typer.Option("--to-latest", help="Go to the end: all waiting messages are skipped.")
    ] = False,
    to_offset: Annotated[
        list[str] | None,
        typer.Option(metavar="TOPIC:PARTITION:OFFSET", help="Set one partition to this offset. Repeatable."),
    ] = None,
    topic: Annotated[
        list[str] | None,
        typer.Option(metavar="TOPIC", help="Only this input topic, for a pipeline that reads several. Repeatable."),
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
    inputs, group = settings.pipelines[pipeline].inputs, settings.group_id(pipeline)
    for one in topic or ():
        _require_input("--topic", one, inputs)
    since_ms = None if to_time is None else time_ms("--to-time", to_time)
    wanted = _wanted(to_offset or [], inputs)
    if not (dry_run or yes or sys.stdin.isatty()):
        raise ConfigError("--yes", "is missing, and there is no terminal to ask on", "add --yes or --dry-run")
    from kafka import KafkaAdminClient

    from labelstream.workers.stream.broker.connection import translate_kafka_errors

    broker = connect(settings.required_kafka)
    with translate_kafka_errors(broker.settings), closing(KafkaAdminClient(**broker.config)) as admin:
        _require_stopped(admin, pipeline, group)
        target: Any = wanted or since_ms or ("latest" if to_latest else "earliest")
        moves = _moves(admin, settings.pipelines[pipeline], group, target, topic)
        _show(moves)
        changed = {move.partition: move.then for move in moves if move.then != move.now}
        if dry_run or not changed:
            say("nothing was changed" if dry_run else "nothing to change")
            return
        if not yes and not typer.confirm(f"Set the offsets of group {group}?", err=True):
            say("nothing was changed")
            raise typer.Exit(1)
        _set(admin, pipeline, group, changed)
    say(f"pipeline {pipeline} continues from these offsets at its next start")


def _wanted(places: list[str], inputs: Any) -> Offsets:
    from kafka.structs import TopicPartition

    wanted: Offsets = {}
    for text in places:
        place = parse_topic_partition_offset(text, "--to-offset")
        _require_input("--to-offset", place.topic, inputs)
        wanted[TopicPartition(place.topic, place.partition)] = place.offset
    return wanted


def _require_input(option: str, topic: str, inputs: Any) -> None:
    if not inputs.match(topic):
        raise ConfigError(option, f"{topic} is not an input topic of the pipeline", f"it reads {inputs}")


def _require_stopped(admin: Any, pipeline: str, group: str) -> None:
    found = admin.describe_groups([group])[group]
    if found["group_state"] not in IDLE_STATES:
        members = plural(len(found["members"]), "member")
        raise StartError(
            f"pipeline {pipeline} runs: group {group} has {members}; stop the pipeline, and wait until its workers "
            "have left the group"
        )


def _moves(
    admin: Any, pipeline: Any, group: str, target: Offsets | int | str, topics: Sequence[str] | None = None
) -> list[Move]:
    """`target`: offsets by partition, or for all partitions milliseconds since 1970, "earliest" or "latest".

    `topics`: only these input topics; None: all.
    """
    from labelstream.workers.stream.broker.positions import committed_offsets, group_starts_at_end, partitions_read
    from labelstream.workers.stream.broker.topics import topics_read
    from labelstream.workers.stream.consumer.offset_reset import next_offset

    partitions = partitions_read(admin, topics or topics_read(admin, pipeline))
    now = committed_offsets(admin, group, partitions)
    at_end = group_starts_at_end(admin, group, pipeline.start_from, now)
    logs = _logs(admin, partitions)
    return [
        Move(place, now[place], next_offset(logs[place], now[place], at_end), then)
        for place, then in _targets(admin, partitions, logs, target).items()
    ]


def _ask(admin: Any, partitions: list[Any], spec: Any) -> Offsets:
    """`spec`: an OffsetSpec, or milliseconds since 1970, with -1 for a partition without a message since then."""
    answer = admin.list_partition_offsets(dict.fromkeys(partitions, spec)) if partitions else {}
    return {place: found.offset for place, found in answer.items()}


def _logs(admin: Any, partitions: list[Any]) -> dict[Any, Any]:
    """The first and the end offset of each partition."""
    from kafka.admin import OffsetSpec  # pyright: ignore[reportAttributeAccessIssue]

    from labelstream.workers.stream.consumer.offset_reset import Log

    first, end = (_ask(admin, partitions, spec) for spec in (OffsetSpec.EARLIEST, OffsetSpec.LATEST))
    return {place: Log(first[place], end[place]) for place in first}


def _targets(admin: Any, partitions: list[Any], logs: dict[Any, Any], target: Offsets | int | str) -> Offsets:
    if target == "earliest":
        return {place: log.start for place, log in logs.items()}
    if target == "latest":
        return {place: log.end for place, log in logs.items()}
    if isinstance(target, int):
        return {
            place: found if found >= 0 else logs[place].end for place, found in _ask(admin, partitions, target).items()
        }
    assert isinstance(target, dict)
    for place, offset in target.items():
        name = f"{place.topic}:{place.partition}"
        if place not in logs:
            count = sum(known.topic == place.topic for known in logs)
            raise ConfigError("--to-offset", f"no partition {name}", f"the topic has {count}, from 0 on")
        if not logs[place].start <= offset <= logs[place].end:
            fix = f"give {logs[place].start} to {logs[place].end}"
            raise ConfigError("--to-offset", f"partition {name} has no offset {offset}", fix)
    return target


def _show(moves: list[Move]) -> None:
    rows = [("partition", "now", "then", "effect")]
    rows += [
        (
            f"{move.partition.topic}:{move.partition.partition}",
            "-" if move.now is None else str(move.now),
            str(move.then),
            move.effect(),
        )
        for move in sorted(moves)
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        typer.echo("  ".join([row[0].ljust(widths[0]), row[1].rjust(widths[1]), row[2].rjust(widths[2]), row[3]]))


def _set(admin: Any, pipeline: str, group: str, offsets: Offsets) -> None:
    from kafka.errors import NoError

    from labelstream.workers.stream.consumer.assignment import as_kafka

    answer = admin.alter_group_offsets(group, as_kafka(offsets))
    refused = sorted({error.__name__ for error in answer.values() if error is not NoError})
    if refused:
        raise StartError(
            f"group {group}: the broker refuses new offsets ({', '.join(refused)}); is pipeline {pipeline} running?"
        )
