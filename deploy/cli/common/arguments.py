"""Arguments that several commands share: TOPIC:PARTITION:OFFSET, a model's source, and the path of the demo's model."""

import re
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from labelstream.workers.errors import ConfigError

DEMO_MODEL = Path(__file__).parents[2] / "demo" / "model"
ModelSource = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="SOURCE",
        help="The model: a directory, or an id of the Hugging Face hub. Default: the demo's model.",
    ),
]
_PATTERN = re.compile(r"(?P<topic>[a-zA-Z0-9._-]{1,249}):(?P<partition>\d{1,9}):(?P<offset>\d{1,18})")


class TopicPartitionOffset(NamedTuple):
    topic: str
    partition: int
    offset: int


def parse_topic_partition_offset(text: str, option: str) -> TopicPartitionOffset:
    """Raises ConfigError naming `option`."""
    found = _PATTERN.fullmatch(text)
    if found is None:
        raise ConfigError(option, f"{text!r} is not TOPIC:PARTITION:OFFSET", "for example feedback.raw:3:4711")
    return TopicPartitionOffset(found["topic"], int(found["partition"]), int(found["offset"]))
