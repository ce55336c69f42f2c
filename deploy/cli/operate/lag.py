"""`labelstream lag`: the lag of each partition, from the brokers; works for stopped pipelines, too."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from labelstream.deploy.cli.common.completion import complete_pipeline
from labelstream.deploy.cli.common.connect import Broker, ConfigFile, connect, load_pipelines, require_pipeline
from labelstream.deploy.cli.common.console import escape, out, plural, say
from labelstream.deploy.cli.common.times import shown_s

if TYPE_CHECKING:  # importing kafka would slow down `--help`
    from kafka.structs import TopicPartition

    from labelstream.workers.records.inputs import InputTopics
    from labelstream.workers.stream.broker.positions import Position

COLUMNS = ("partition", "committed", "end", "lag", "oldest")


class PipelineLag(NamedTuple):
    """`ages_s`: the age of the oldest uncommitted record of each partition, as far as the brokers know it.

    `members`: of the group; None if the broker does not tell.
    """

    name: str
    inputs: "InputTopics"
    group: str
    members: int | None
    partitions: "Mapping[TopicPartition, Position]"
    ages_s: "Mapping[TopicPartition, float]"

    @property
    def topics(self) -> list[str]:
        return sorted({place.topic for place in self.partitions})

    @property
    def lag(self) -> int:
        return sum(position.lag for position in self.partitions.values())

    @property
    def oldest_s(self) -> float | None:
        return max(self.ages_s.values(), default=None)


def lag(
    config: ConfigFile,
    pipeline: Annotated[
        str | None,
        typer.Argument(
            metavar="PIPELINE",
            help="Show only this pipeline. Default: all pipelines of the config.",
            autocompletion=complete_pipeline,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show how many messages wait in each partition of the input topics, and how old the oldest is.

    The numbers come from the brokers: a message waits until the pipeline's consumer group commits it. So the command
    works for stopped pipelines, too. Messages of open transactions are not counted.
    """
    settings = load_pipelines(config)
    if pipeline is not None:
        require_pipeline(settings, pipeline, config)
    broker = connect(settings.required_kafka)
    found = _ask(settings, broker, [pipeline] if pipeline is not None else list(settings.pipelines))
    if as_json:
        typer.echo(json.dumps({one.name: _plain(one) for one in found}, indent=2))
        return
    console = out()
    for one in found:
        _print_lines(console, _head(one))
        console.print(_table(one))
        _print_lines(console, _notes(one))


def _print_lines(console: Any, lines: Iterable[str]) -> None:
    for line in lines:
        console.print(escape(line), soft_wrap=not console.is_terminal)


def _ask(settings: Any, broker: Broker, names: list[str]) -> list[PipelineLag]:
    """Raises StartError."""
    from kafka import KafkaAdminClient

    from labelstream.workers.stream.broker.connection import is_in_memory, translate_kafka_errors
    from labelstream.workers.stream.broker.positions import read_positions

    found: list[PipelineLag] = []
    admin: Any
    with translate_kafka_errors(broker.settings), closing(KafkaAdminClient(**broker.config)) as admin:
        for name in names:
            pipeline, group = settings.pipelines[name], settings.group_id(name)
            at = read_positions(admin, pipeline, group)
            # The in-memory broker does not support this request.
            known = not is_in_memory(broker.config)
            members = len(admin.describe_groups([group])[group]["members"]) if known else None
            ages, empty = _ages_s(broker, at)
            at |= {place: at[place]._replace(next=at[place].log.end) for place in empty}
            found.append(PipelineLag(name, pipeline.inputs, group, members, at, ages))
    return found


def _ages_s(
    broker: Broker, at: "Mapping[TopicPartition, Position]"
) -> "tuple[dict[TopicPartition, float], list[TopicPartition]]":
    """The ages by partition, and the partitions where no record waits, only control records of transactions.

    Both empty, with a note on stderr, if we lack the permission to read a topic.
    """
    from kafka.errors import TopicAuthorizationFailedError

    from labelstream.workers.stream.broker.positions import first_timestamps
    from labelstream.workers.stream.consumer.offset_reset import Log

    waiting = {place: Log(one.next, one.log.end) for place, one in at.items() if one.lag}
    try:
        found = first_timestamps(broker.config, waiting)
    except TopicAuthorizationFailedError:
        names = ", ".join(sorted({place.topic for place in waiting}))
        say(f"note: no permission to read topic {escape(names)}, so ages are unknown; grant READ on the topic")
        return {}, []
    now = time.time()
    ages = {place: max(0.0, now - ms / 1000) for place, ms in found.items() if ms is not None}
    return ages, [place for place, ms in found.items() if ms is None]


def _plain(one: PipelineLag) -> dict[str, Any]:
    return {
        "topics": one.topics,
        "group": one.group,
        "members": one.members,
        "lag": one.lag,
        "oldest_s": one.oldest_s,
        "partitions": {
            f"{place.topic}:{place.partition}": {
                "committed": at.committed,
                "start": at.log.start,
                "end": at.log.end,
                "lag": at.lag,
                "lost": at.lost,
                "oldest_s": one.ages_s.get(place),
            }
            for place, at in one.partitions.items()
        },
    }


def _head(one: PipelineLag) -> list[str]:
    members = f", {plural(one.members, 'member')}" if one.members else ", no members: the pipeline does not run"
    return [
        f"{one.name}: {plural(one.lag, 'message')} behind",
        f"  {_inputs(one)}; group {one.group}{'' if one.members is None else members}",
    ]


def _inputs(one: PipelineLag) -> str:
    if len(one.topics) == 1:
        return f"topic {one.topics[0]}"
    return f"topics {', '.join(one.topics)}" if one.topics else f"no topic matches {one.inputs.pattern}"


def _name(one: PipelineLag, place: "TopicPartition") -> str:
    return str(place.partition) if len(one.topics) == 1 else f"{place.topic}:{place.partition}"


def _table(one: PipelineLag) -> Any:
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, padding=(0, 2, 0, 0), show_footer=len(one.partitions) > 1)
    for name, total in zip(COLUMNS, ("total", "", "", str(one.lag), shown_s(one.oldest_s)), strict=True):
        made.add_column(name, Text(total, overflow="fold"), justify="right", overflow="fold")
    for place, at in one.partitions.items():
        committed = "-" if at.committed is None else str(at.committed)
        made.add_row(_name(one, place), committed, str(at.log.end), str(at.lag), shown_s(one.ages_s.get(place)))
    return made


def _notes(one: PipelineLag) -> Iterator[str]:
    for place, at in one.partitions.items():
        if at.lost:
            yield f"  partition {_name(one, place)}: retention has deleted {plural(at.lost, 'unprocessed message')}"
        elif at.committed is not None and at.committed > at.log.end:
            text = "the committed offset is after the end: the topic was recreated or truncated"
            yield f"  partition {_name(one, place)}: {text}"
    for topic in one.inputs.names:
        if topic not in one.topics:
            yield f"  topic {topic} does not exist"
    if any(at.committed is None for at in one.partitions.values()):
        yield "  committed -: no committed offset yet; the lag counts from where `start_from` begins"
