"""`labelstream resume` and `labelstream skip`: an operator's word to the workers of a running pipeline."""

from pathlib import Path
from typing import Annotated

import typer

from labelstream.deploy.cli.common.arguments import parse_topic_partition_offset
from labelstream.deploy.cli.common.completion import complete_pipeline
from labelstream.deploy.cli.common.console import escape, plural
from labelstream.deploy.cli.common.running import Address, RunConfig, address_of
from labelstream.deploy.control.reports import Answers
from labelstream.workers.errors import ConfigError, StartError
from labelstream.workers.stream.supervision.commands import Command

Pipeline = Annotated[
    str,
    typer.Argument(
        metavar="PIPELINE",
        help="Its name in the config; by it its run is found.",
        autocompletion=complete_pipeline,
    ),
]


def resume(pipeline: Pipeline, config: RunConfig = None, address: Address = None) -> None:
    """Let a pipeline go on that its breaker has paused.

    What each worker holds goes out as it is, dead letters and all, and the breaker counts anew from there.
    """
    for worker, answer in sorted(_tell(pipeline, {"name": "resume"}, config, address).items()):
        typer.echo(f"{escape(worker)}: {escape(answer['text'])}")


def skip(
    pipeline: Pipeline,
    place: Annotated[
        str, typer.Argument(metavar="TOPIC:PARTITION:OFFSET", help="Where to go on; the alarm names the offset.")
    ],
    config: RunConfig = None,
    address: Address = None,
) -> None:
    """Let a partition go on behind a corrupt batch. What lies before OFFSET is left out for good."""
    topic, partition, offset = parse_topic_partition_offset(place, "TOPIC:PARTITION:OFFSET")
    command: Command = {"name": "skip", "topic": topic, "partition": partition, "offset": offset}
    answers = _tell(pipeline, command, config, address)
    theirs = [(worker, answer) for worker, answer in answers.items() if answer["status"] != "absent"]
    if not theirs:
        raise StartError(f"no worker of pipeline {pipeline} holds {topic}:{partition}; nothing was skipped")
    worker, answer = theirs[0]
    if answer["status"] != "done":
        raise StartError(f"{worker}: {answer['text']}")
    typer.echo(f"{escape(worker)}: {escape(answer['text'])}")


def _tell(pipeline: str, command: Command, config: Path | None, address: str | None) -> Answers:
    """The workers' answers. Raises ConfigError for an unknown pipeline, StartError where one has not answered."""
    where = address_of(address, config, pipeline)
    from labelstream.deploy.cluster import runtime

    with runtime.joined(where):
        found = runtime.command(pipeline, command)
    if pipeline not in found["known"]:
        raise ConfigError("PIPELINE", f"there is no pipeline {pipeline!r} here", f"known: {', '.join(found['known'])}")
    workers, answers = found["workers"], found["answers"]
    silent = [worker for worker in workers if worker not in answers]
    if not workers:
        raise StartError(f"no worker of pipeline {pipeline} reports; it may be starting: `labelstream run` shows it")
    if silent and all(answer["status"] == "absent" for answer in answers.values()):
        raise StartError(
            f"{plural(len(silent), 'worker')} of pipeline {pipeline} gave no answer within "
            f"{runtime.COMMAND_S:g} s ({', '.join(silent)}): nothing is known of what they did"
        )
    return answers
