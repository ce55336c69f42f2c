"""Execute operator commands on a pipeline."""

from kafka.structs import TopicPartition

from labelstream.workers.errors import CommandRefused
from labelstream.workers.stream.pipeline import Pipeline
from labelstream.workers.stream.supervision.commands import Command


def execute(pipeline: Pipeline, command: Command) -> str | None:
    """The text of what was done; None to retry later. Raises `CommandRefused`."""
    if command["name"] == "resume":
        held = pipeline.resume()
        if held is None:
            raise CommandRefused("the pipeline is not paused", ours=False)
        return f"resumed; {held} held messages are produced"
    if "topic" not in command or "partition" not in command or "offset" not in command:
        raise CommandRefused("skip needs topic, partition and offset")
    partition, offset = TopicPartition(command["topic"], command["partition"]), command["offset"]
    skipped = pipeline.skip(partition, offset)
    if skipped is None:
        return None
    return f"{partition.topic}:{partition.partition} resumes at {offset}; {skipped} offsets are skipped"
