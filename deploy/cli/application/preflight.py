"""Is what a config names really there? Brokers, topics, permissions and models; every finding is one line."""

from contextlib import closing
from dataclasses import replace
from typing import Any

from labelstream.deploy.cli.common.connect import NOT_ALLOWED
from labelstream.deploy.cli.common.console import one_line
from labelstream.workers.errors import LabelstreamError, StartError


class Remarks:
    """`problems` keep the system from running; `notes` do not."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.notes: list[str] = []


def check_models(settings: Any, remarks: Remarks) -> None:
    """Load each model as a replica would, on the CPU, and let go of it."""
    from labelstream.workers.engine.loading.hub import resolve

    for name, model in settings.models.items():
        try:
            resolve(model.source, model.revision)
            from labelstream.deploy.deployments.model_options import options_of
            from labelstream.workers.engine.loading.loader import load  # torch: not before there is something to load

            load(model.source, replace(options_of(model), device="cpu", dtype="auto"))
        except LabelstreamError as error:
            remarks.problems.append(f"models.{name}.source: {one_line(error)}")


def check_kafka(settings: Any, remarks: Remarks) -> None:
    """Topics, permissions and sizes of all pipelines."""
    from kafka import KafkaAdminClient

    from labelstream.workers.stream.broker.connection import connected_config, is_in_memory, translate_kafka_errors
    from labelstream.workers.stream.broker.group_permission import check_group

    try:
        config = connected_config(settings.kafka)
        if is_in_memory(config):
            remarks.notes.append("kafka: this is an in-memory broker, which makes topics by itself and permits all")
            return
        with translate_kafka_errors(settings.kafka), closing(KafkaAdminClient(**config)) as admin:
            for name in settings.pipelines:
                _check_topics(admin, name, settings.pipelines[name], remarks)
                try:
                    check_group(admin, f"pipelines.{name}.group_id", settings.group_id(name))
                except StartError as error:
                    remarks.problems.append(one_line(error))
    except StartError as error:
        remarks.problems.append(one_line(error))


def _check_topics(admin: Any, name: str, pipeline: Any, remarks: Remarks) -> None:
    from labelstream.workers.stream.broker.topics import max_message_bytes, topics_of

    partitions: dict[str, int] = {}
    sizes: dict[str, int | None] = {}
    for key, topic in topics_of(pipeline).items():
        where, right = f"pipelines.{name}.{key}", "READ" if key == "input" else "WRITE"
        found = admin.describe_topics([topic])[0]
        allowed = found.get("authorized_operations")
        if found["error_code"] == NOT_ALLOWED:
            remarks.problems.append(
                f"{where}: no permission to see topic {topic}; create it if it is missing, and grant {right} on it"
            )
        elif found["error_code"]:
            remarks.problems.append(
                f"{where}: topic {topic} does not exist; create it, for example with "
                f"kafka-topics.sh --create --topic {topic} --partitions 6"
            )
        else:
            partitions[key], sizes[key] = len(found["partitions"]), max_message_bytes(admin, topic)
            if key != "input":
                _check_cleanup(admin, where, topic, remarks)
            if allowed is None:
                remarks.notes.append(f"{where}: the broker does not tell whether we may {right.lower()} topic {topic}")
            elif right not in allowed:
                remarks.problems.append(f"{where}: no permission to {right.lower()} topic {topic}; grant {right} on it")
    if pipeline.output_partition == "same" and partitions.get("output", 1 << 30) < partitions.get("input", 0):
        remarks.problems.append(
            f"pipelines.{name}.output_partition: same needs as many partitions in {pipeline.output} "
            f"({partitions['output']}) as in {pipeline.input} ({partitions['input']}); add some"
        )
    if 0 < partitions.get("input", 0) < pipeline.workers.max:
        remarks.notes.append(
            f"pipelines.{name}.workers: {pipeline.workers.max}, but topic {pipeline.input} has only "
            f"{partitions['input']} partitions: the other workers would have nothing to do"
        )
    _compare_sizes(name, pipeline, sizes, remarks)
    if "input" in partitions and pipeline.output_timestamp == "input":
        for key in sorted(partitions.keys() & {"output", "review"}):
            compare_retention(admin, f"pipelines.{name}.{key}", pipeline.input, topics_of(pipeline)[key], remarks)


def compare_retention(admin: Any, where: str, source: str, topic: str, remarks: Remarks) -> None:
    """Results carry their input's timestamp, and a topic deletes by timestamp."""
    from labelstream.workers.stream.broker.topics import retention_ms, topic_setting
    from labelstream.workers.stream.codec.timestamps import NO_LIMIT_MS

    kept, offered = retention_ms(admin, topic), retention_ms(admin, source)
    if kept is None or offered is None:
        unknown = topic if kept is None else source
        remarks.notes.append(
            f"{where}: retention.ms of topic {unknown} cannot be read (DESCRIBE_CONFIGS is missing); "
            f"if topic {topic} keeps records for a shorter time than topic {source}, results of old "
            "messages get the time of sending"
        )
    elif kept < offered and topic_setting(admin, topic, "message.timestamp.type") != "LogAppendTime":
        offer = "for good" if offered >= NO_LIMIT_MS else f"for {_span(offered)}"
        remarks.notes.append(
            f"{where}: topic {topic} keeps records for {_span(kept)} (retention.ms), the input topic "
            f"{source} {offer}: results of older messages would be deleted at once, and get the time "
            "of sending instead of their message's; raise retention.ms, or set output_timestamp: now"
        )


def _span(milliseconds: int) -> str:
    """In the largest unit that loses nothing."""
    for size, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")):
        if milliseconds >= size and milliseconds % size == 0:
            return f"{milliseconds // size} {unit}"
    return f"{milliseconds} ms"


def _check_cleanup(admin: Any, where: str, topic: str, remarks: Remarks) -> None:
    """A compacted topic takes no record without a key, and keeps one record of each key."""
    from labelstream.workers.stream.broker.topics import is_compacted

    compacted = is_compacted(admin, topic)
    if compacted is None:
        remarks.notes.append(
            f"{where}: cleanup.policy of topic {topic} cannot be read (DESCRIBE_CONFIGS is missing); "
            "if it is compact, the topic takes no record without a key"
        )
    elif compacted:
        key = where.rpartition(".")[2]
        means = (
            "each message without a key becomes a dead letter"
            if key == "output"
            else "a record without a key gets one of ours"
        )
        remarks.notes.append(
            f"{where}: topic {topic} is compacted (cleanup.policy): it keeps the last record of each "
            f"key, and {means}; give all messages keys of their own, or set cleanup.policy=delete"
        )


def _compare_sizes(name: str, pipeline: Any, sizes: dict[str, int | None], remarks: Remarks) -> None:
    """Dead letters hold the whole input record, so their topic should take what the input topic takes."""
    taken, offered = sizes.get("dead_letter"), sizes.get("input")
    for key, size in sizes.items():
        if size is None:
            remarks.notes.append(
                f"pipelines.{name}.{key}: max.message.bytes cannot be read (DESCRIBE_CONFIGS is "
                "missing); Kafka's default is assumed"
            )
    if taken is not None and offered is not None and taken < offered:
        remarks.notes.append(
            f"pipelines.{name}.dead_letter: topic {pipeline.dead_letter} takes {taken} bytes a message, the input "
            f"topic {offered}: the values of larger dead letters would be left out; raise its max.message.bytes"
        )
