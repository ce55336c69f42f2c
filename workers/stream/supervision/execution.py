"""What a pipeline does on an operator's command."""

from kafka.structs import TopicPartition

from labelstream.workers.errors import CommandRefused
from labelstream.workers.stream.pipeline import Pipeline
from labelstream.workers.stream.supervision.commands import Command


def execute(pipeline: Pipeline, command: Command) -> str | None:
    """What was done; None: not yet. Raises `CommandRefused`."""
    if command["name"] == "resume":
        held = pipeline.resume()
        if held is None:
            raise CommandRefused("it is not paused", ours=False)
        return f"goes on with {held} messages that were held"
    if "topic" not in command or "partition" not in command or "offset" not in command:
        raise CommandRefused("a skip names topic, partition and offset")
    partition, offset = TopicPartition(command["topic"], command["partition"]), command["offset"]
    skipped = pipeline.skip(partition, offset)
    if skipped is None:
        return None
    return f"{partition.topic}:{partition.partition} goes on at {offset}, {skipped} offsets are skipped"
