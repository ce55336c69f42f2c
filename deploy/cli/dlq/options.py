"""The options that the commands of `labelstream dlq` share: the pipeline, and which of its dead letters."""

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
        help="Name of the pipeline. Default: the only pipeline of the config.",
        autocompletion=complete_pipeline,
    ),
]
Reasons = Annotated[
    list[str] | None, typer.Option("--reason", metavar="REASON", help="Only dead letters with this reason. Repeatable.")
]
SourceTopic = Annotated[
    str | None, typer.Option("--topic", metavar="TOPIC", help="Only dead letters of records in this source topic.")
]
Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Only dead letters since this time: 10m, 2h, 3d ago, or ISO 8601 (UTC)."),
]
Until = Annotated[
    str | None, typer.Option(metavar="TIME", help="Only dead letters before this time, written like --since.")
]
At = Annotated[
    list[str] | None,
    typer.Option(
        "--at",
        "--offset",
        metavar="PARTITION:OFFSET",
        help="Only the dead letter at this place of its topic. Repeatable.",
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
        raise ConfigError("PIPELINE", "is missing, but the config has several pipelines", f"give one of {names}")
    name = name or next(iter(settings.pipelines))
    if name not in settings.pipelines:
        raise ConfigError("PIPELINE", f"no pipeline {name!r} in the config", f"give one of {names}")
    return Chosen(settings.required_kafka, settings.pipelines[name])


def selection(
    reasons: list[str] | None,
    topic: str | None,
    since: str | None,
    until: str | None,
    at: list[str] | None,
) -> Any:
    """The `Selection` of the options. Raises ConfigError."""
    from labelstream.schemas.dead_letter import Reason
    from labelstream.workers.stream.dlq.dead_letters import Selection

    for reason in reasons or ():
        if reason not in set(Reason):
            raise ConfigError("--reason", f"unknown reason {reason!r}", f"give one of {', '.join(Reason)}")
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
        raise ConfigError(option, f"{text!r} is not PARTITION:OFFSET", "for example 0:42, as printed by `dlq list`")
    return int(found[1]), int(found[2])
