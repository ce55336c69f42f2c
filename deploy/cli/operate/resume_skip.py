"""`labelstream resume` and `labelstream skip`: commands to the workers of a running pipeline."""

from pathlib import Path
from typing import Annotated

import typer

from labelstream.deploy.cli.common.arguments import parse_topic_partition_offset
from labelstream.deploy.cli.common.completion import complete_pipeline
from labelstream.deploy.cli.common.console import escape, plural
from labelstream.deploy.cli.common.running import Address, RunConfig, address_of
from labelstream.deploy.control.reports import COMMAND_S, Answers
from labelstream.workers.errors import ConfigError, StartError
from labelstream.workers.stream.supervision.commands import Command

Pipeline = Annotated[
    str,
    typer.Argument(
        metavar="PIPELINE",
        help="Name of the pipeline in the config. The name also selects the run.",
        autocompletion=complete_pipeline,
    ),
]


def resume(pipeline: Pipeline, config: RunConfig = None, address: Address = None) -> None:
    """Resume a pipeline that its breaker has paused.

    The breaker pauses a pipeline while the model fails too many messages. `resume` sends the paused messages out as
    they are, including their dead letters, and resets the breaker's counters.
    """
    for worker, answer in sorted(_tell(pipeline, {"name": "resume"}, config, address).items()):
        typer.echo(f"{escape(worker)}: {escape(answer['text'])}")


def skip(
    pipeline: Pipeline,
    place: Annotated[
        str,
        typer.Argument(
            metavar="TOPIC:PARTITION:OFFSET", help="The first offset to read again. The worker's alarm names it."
        ),
    ],
    config: RunConfig = None,
    address: Address = None,
) -> None:
    """Skip a corrupt batch that halts a partition. All messages before OFFSET are skipped for good."""
    topic, partition, offset = parse_topic_partition_offset(place, "TOPIC:PARTITION:OFFSET")
    command: Command = {"name": "skip", "topic": topic, "partition": partition, "offset": offset}
    answers = _tell(pipeline, command, config, address)
    theirs = [(worker, answer) for worker, answer in answers.items() if answer["status"] != "absent"]
    if not theirs:
        raise StartError(f"no worker of pipeline {pipeline} is assigned {topic}:{partition}; nothing was skipped")
    worker, answer = theirs[0]
    if answer["status"] != "done":
        raise StartError(f"{worker}: {answer['text']}")
    typer.echo(f"{escape(worker)}: {escape(answer['text'])}")


def _tell(pipeline: str, command: Command, config: Path | None, address: str | None) -> Answers:
    """The workers' answers. Raises ConfigError for an unknown pipeline, StartError if workers do not answer."""
    where = address_of(address, config, pipeline)
    from labelstream.deploy.cluster import runtime
    from labelstream.deploy.cluster.application import control_client

    with runtime.joined(where):
        found = control_client.command(pipeline, command)
    if pipeline not in found["known"]:
        raise ConfigError(
            "PIPELINE", f"the application has no pipeline {pipeline!r}", f"give one of {', '.join(found['known'])}"
        )
    workers, answers = found["workers"], found["answers"]
    silent = [worker for worker in workers if worker not in answers]
    if not workers:
        raise StartError(
            f"no worker of pipeline {pipeline} reports; try again after the start, see `labelstream status`"
        )
    if silent and all(answer["status"] == "absent" for answer in answers.values()):
        raise StartError(
            f"{plural(len(silent), 'worker')} of pipeline {pipeline} gave no answer within {COMMAND_S:g} s "
            f"({', '.join(silent)}); check their effect with `labelstream status`"
        )
    return answers
