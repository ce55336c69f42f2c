"""`labelstream topics create`: creates the missing topics of a config's pipelines."""

import sys
from collections.abc import Iterable
from contextlib import closing
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.common.connect import ConfigFile, connect, load_pipelines
from labelstream.deploy.cli.common.console import escape, plural, say
from labelstream.deploy.cli.topics.topic_plan import (
    PlannedTopic,
    alter_command,
    create_command,
    plan,
    topics_of_config,
)
from labelstream.workers.errors import ConfigError, StartError

_ALREADY_EXISTS, _FORBIDDEN, _TOO_FEW_BROKERS = 36, (29, 31), 38
topics = typer.Typer(name="topics", help="Create the topics of a config's pipelines.", no_args_is_help=True)


@topics.callback()
def group() -> None:
    """Create the topics of a config's pipelines."""


@topics.command()
def create(
    config: ConfigFile,
    partitions: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Partitions of each new topic. Default: as many as the input; 6 or more for a new input.",
        ),
    ] = None,
    replication: Annotated[
        int | None, typer.Option(min=1, max=32_767, help="Replicas of each new topic. Default: the brokers' setting.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
) -> None:
    """Create the missing topics of a config.

    The topics are inputs, output, dead letters and review of all pipelines, and the ledgers of `dlq redrive`. The plan
    is shown first, with the command of Kafka's own tools for each topic, for users without the permission.
    Existing topics are not changed, and topics for an input pattern are yours to create.

    Exit code 1: at least one topic was not created. Each has a line with the reason.
    """
    settings = load_pipelines(config)
    from kafka import KafkaAdminClient

    from labelstream.workers.stream.broker.connection import is_in_memory, translate_kafka_errors

    broker = connect(settings.required_kafka)
    if is_in_memory(broker.config):
        typer.echo("Nothing to create: the in-memory broker creates topics on first use.")
        return
    with translate_kafka_errors(broker.settings), closing(KafkaAdminClient(**broker.config)) as admin:
        matched = _matched(admin, settings)
        named = dict.fromkeys(
            [*topics_of_config(settings), *(topic for topics in matched.values() for topic in topics)]
        )
        planned = plan(settings, _found(admin, list(named)), partitions, matched)
        missing = [topic for topic in planned if not topic.exists]
        _show(settings.required_kafka, planned, missing, replication)
        if not missing:
            return
        if not yes and not sys.stdin.isatty():
            raise ConfigError("--yes", "is missing, and there is no terminal to ask on", "add --yes")
        if not yes and not typer.confirm(f"Create {plural(len(missing), 'topic')}?", err=True):
            say("nothing was created")
            raise typer.Exit(1)
        problems = _create(admin, settings.required_kafka, missing, replication)
    for problem in problems:
        say(escape(f"problem: {problem}"))
    if problems:
        raise typer.Exit(1)
    typer.echo(f"Created {plural(len(missing), 'topic')}.")


def _matched(admin: Any, settings: Any) -> dict[str, list[str]]:
    """The topics of the pipelines whose input is a pattern."""
    from labelstream.workers.stream.broker.topics import topics_read

    return {name: topics_read(admin, one) for name, one in settings.pipelines.items() if not one.inputs.names}


def _found(admin: Any, names: list[str]) -> dict[str, int]:
    """The partitions of each existing topic that we may describe. Raises StartError."""
    from labelstream.workers.stream.broker.topics import TOPIC_AUTHORIZATION_FAILED, UNKNOWN_TOPIC, access_problem

    found = {}
    for told in admin.describe_topics(names):
        if not told["error_code"]:
            found[told["name"]] = len(told["partitions"])
        elif told["error_code"] not in (UNKNOWN_TOPIC, TOPIC_AUTHORIZATION_FAILED):
            raise StartError(str(access_problem(told, "READ")))
    return found


def _show(kafka: Any, planned: list[PlannedTopic], missing: list[PlannedTopic], replication: int | None) -> None:
    width = max(len(topic.name) for topic in planned)
    for topic in planned:
        state = "exists" if topic.exists else "to create"
        count = plural(topic.partitions, "partition")
        typer.echo(f"{topic.name:{width}}  {state:9}  {count:13}  {', '.join(topic.uses)}")
    for topic in planned:
        if topic.exists and topic.partitions < topic.same_as_input:
            needs = f"{topic.same_as_input} partitions for output_partition: same"
            typer.echo(f"\n{topic.name} needs {needs}; add them with:")
            typer.echo(f"  {alter_command(kafka, topic)}")
    if not missing:
        typer.echo("\nAll topics exist.")
        return
    typer.echo("\nThe same with Kafka's own tools:")
    for topic in missing:
        typer.echo(f"  {create_command(kafka, topic, replication)}")


def _create(admin: Any, kafka: Any, missing: Iterable[PlannedTopic], replication: int | None) -> list[str]:
    """The problems: topics that were not created, with the reason."""
    wanted = {topic.name: topic for topic in missing}
    options = {name: topic.options(replication) for name, topic in wanted.items()}
    told = {one["name"]: one for one in admin.create_topics(options, raise_errors=False)["topics"]}
    failed = [name for name in wanted if told[name]["error_code"] not in (0, _ALREADY_EXISTS)]
    if created := sorted(wanted.keys() - set(failed)):
        admin.wait_for_topics(created)
    return [_problem(told[name], create_command(kafka, wanted[name], replication)) for name in failed]


def _problem(told: Any, command: str) -> str:
    from kafka.errors import for_code

    topic, code = told["name"], told["error_code"]
    if code in _FORBIDDEN:
        return (
            f"no permission to create topic {topic}; grant CREATE on the topic, or have an administrator run: {command}"
        )
    reason = f"{for_code(code).__name__}: {told.get('error_message') or 'no reason given'}"
    fix = "; lower --replication" if code == _TOO_FEW_BROKERS else ""
    return f"topic {topic} was not created ({reason}){fix}"
