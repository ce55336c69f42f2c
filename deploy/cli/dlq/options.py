"""What the commands of `labelstream dlq` are told: the pipeline, and which of its dead letters."""

import re
from typing import Annotated, Any, NamedTuple

import typer

from labelstream.deploy.cli.common.completion import complete_pipeline
from labelstream.deploy.cli.common.times import time_ms
from labelstream.workers.errors import ConfigError

PipelineName = Annotated[
    str | None,
    typer.Argument(
        metavar="PIPELINE",
        help="Whose dead letters. Default: the config's only pipeline.",
        autocompletion=complete_pipeline,
    ),
]
Reasons = Annotated[
    list[str] | None, typer.Option("--reason", metavar="REASON", help="Only with this reason; may be repeated.")
]
SourceTopic = Annotated[
    str | None, typer.Option("--topic", metavar="TOPIC", help="Only what was made of this topic's records.")
]
Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="From this time on: ISO 8601 (UTC if it names no zone), or 10m, 2h, 3d ago."),
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="From before this time; written like --since.")]
At = Annotated[
    list[str] | None,
    typer.Option(
        "--at",
        "--offset",
        metavar="PARTITION:OFFSET",
        help="Only this place of the dead-letter topic; may be repeated.",
    ),
]


class Chosen(NamedTuple):
    """A pipeline of a config file, and the settings to reach its brokers."""

    kafka: Any
    pipeline: Any


def choose(settings: Any, name: str | None) -> Chosen:
    """The pipeline called `name`, or the only one. Raises ConfigError."""
    names = ", ".join(sorted(settings.pipelines))
    if name is None and len(settings.pipelines) > 1:
        raise ConfigError("PIPELINE", "is missing, and the config has more than one", f"name one of {names}")
    name = name or next(iter(settings.pipelines))
    if name not in settings.pipelines:
        raise ConfigError("PIPELINE", f"the config has no pipeline {name!r}", f"it has {names}")
    return Chosen(settings.kafka, settings.pipelines[name])


def selection(
    reasons: list[str] | None,
    topic: str | None,
    since: str | None,
    until: str | None,
    at: list[str] | None,
) -> Any:
    """The `Selection` that the options mean. Raises ConfigError."""
    from labelstream.schemas.dead_letter import Reason
    from labelstream.workers.stream.dlq.dead_letters import Selection

    for reason in reasons or ():
        if reason not in set(Reason):
            raise ConfigError("--reason", f"there is no reason {reason!r}", f"known: {', '.join(Reason)}")
    return Selection(
        frozenset(reasons or ()),
        topic,
        None if since is None else time_ms("--since", since),
        None if until is None else time_ms("--until", until),
        frozenset(place("--at", text) for text in at or ()),
    )


def place(option: str, text: str) -> tuple[int, int]:
    """PARTITION:OFFSET as numbers. Raises ConfigError."""
    found = re.fullmatch(r"([0-9]{1,9}):([0-9]{1,18})", text)
    if not found:
        raise ConfigError(option, f"{text!r} is not PARTITION:OFFSET", "for example 0:42, as `dlq list` prints it")
    return int(found[1]), int(found[2])
