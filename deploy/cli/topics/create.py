"""`labelstream topics create`: what a config's pipelines read and write, where it is missing."""

import sys
from collections.abc import Iterable
from contextlib import closing
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.common.connect import ConfigFile, connect, load_config
from labelstream.deploy.cli.common.console import escape, plural, say
from labelstream.deploy.cli.topics.topic_plan import (
    PlannedTopic,
    alter_command,
    create_command,
    plan,
    topics_of_config,
)
from labelstream.workers.errors import ConfigError, StartError

_ALREADY_EXISTS, _MAY_NOT, _TOO_FEW_BROKERS = 36, (29, 31), 38
topics = typer.Typer(name="topics", help="The topics of a config's pipelines.", no_args_is_help=True)


@topics.callback()
def group() -> None:
    """The topics of a config's pipelines."""


@topics.command()
def create(
    config: ConfigFile,
    partitions: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Partitions of each new topic. Default: as many as the input has, 6 or more for a new input.",
        ),
    ] = None,
    replication: Annotated[
        int | None, typer.Option(min=1, max=32_767, help="Copies of each new topic. Default: the brokers'.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Create the topics of a config that are missing.

    Those of all pipelines: input, output, dead letters, review, and the ledger of `dlq redrive`. The plan is shown
    first, with Kafka's own command for each topic, for whoever may create it. A topic that is there stays as it is.

    Exit code 1: some topic was not created, each with the reason.
    """
    settings = load_config(config)
    from kafka import KafkaAdminClient

    from labelstream.workers.stream.broker.connection import is_in_memory, translate_kafka_errors

    broker = connect(settings.kafka)
    if is_in_memory(broker.config):
        typer.echo("This is an in-memory broker, which makes topics by itself: there is nothing to create.")
        return
    with translate_kafka_errors(broker.settings), closing(KafkaAdminClient(**broker.config)) as admin:
        planned = plan(settings, _found(admin, topics_of_config(settings)), partitions)
        missing = [topic for topic in planned if not topic.exists]
        _show(settings.kafka, planned, missing, replication)
        if not missing:
            return
        if not yes and not sys.stdin.isatty():
            raise ConfigError("--yes", "is missing, and there is no terminal to ask on", "nothing is created; add it")
        if not yes and not typer.confirm(f"Create {plural(len(missing), 'topic')}?", err=True):
            say("nothing was created")
            raise typer.Exit(1)
        problems = _create(admin, settings.kafka, missing, replication)
    for problem in problems:
        say(escape(f"problem: {problem}"))
    if problems:
        raise typer.Exit(1)
    typer.echo(f"Created {plural(len(missing), 'topic')}.")


def _found(admin: Any, names: list[str]) -> dict[str, int]:
    """The partitions of each topic that is there, as far as we may see it. Raises StartError."""
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
        state = "is there" if topic.exists else "to create"
        count = plural(topic.partitions, "partition")
        typer.echo(f"{topic.name:{width}}  {state:9}  {count:13}  {', '.join(topic.uses)}")
    for topic in planned:
        if topic.exists and topic.partitions < topic.same_as_input:
            needs = f"{topic.same_as_input} partitions for output_partition: same"
            typer.echo(f"\n{topic.name} needs {needs}; add them by:")
            typer.echo(f"  {alter_command(kafka, topic)}")
    if not missing:
        typer.echo("\nAll topics are there.")
        return
    typer.echo("\nThe same with Kafka's own tools:")
    for topic in missing:
        typer.echo(f"  {create_command(kafka, topic, replication)}")


def _create(admin: Any, kafka: Any, missing: Iterable[PlannedTopic], replication: int | None) -> list[str]:
    """What was not created, and why."""
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
    if code in _MAY_NOT:
        return f"no permission to create topic {topic}; grant CREATE on it, or have somebody run: {command}"
    reason = f"{for_code(code).__name__}: {told.get('error_message') or 'no reason given'}"
    fix = "; lower --replication" if code == _TOO_FEW_BROKERS else ""
    return f"topic {topic} was not created ({reason}){fix}"
