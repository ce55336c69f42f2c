"""Connects the commands to Kafka: by a config file's kafka section, or by the environment and `--bootstrap`."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from labelstream.deploy.cli.common.completion import DEFAULT_CONFIG
from labelstream.deploy.cli.common.console import HINTS
from labelstream.workers.errors import ConfigError, StartError

PARTITIONS = 4  # of each topic of a demo or a benchmark
DEFAULT_BOOTSTRAP = "localhost:9092"
_DEFAULTS = {"request_timeout_ms": 15_000, "delivery_timeout_ms": 30_000}  # short, because a person waits


def _require_config(context: typer.Context, config: Path | None) -> Path | None:
    """Raises ConfigError if the option is missing; suggests ./labelstream.yaml if it exists. Completion is exempt."""
    if config is None and not context.resilient_parsing:
        near = DEFAULT_CONFIG.is_file()
        fix = f"add -c {DEFAULT_CONFIG}, which is in this directory" if near else "add -c FILE"
        raise ConfigError("--config", "is missing", fix)
    return config


ConfigFile = Annotated[
    Path,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="Config file (YAML). Required.",
        default_factory=lambda: None,  # else typer prints its own usage error
        callback=_require_config,
        show_default=False,
    ),
]
OptionalConfig = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="Config file (YAML). Its kafka section says how to connect."),
]
Bootstrap = Annotated[
    str | None,
    typer.Option(
        "--bootstrap",
        "-b",
        metavar="HOST:PORT",
        help="The brokers, instead of --config. TLS and login come from the environment (LABELSTREAM_KAFKA__*). "
        f"Default: the brokers in the environment, else {DEFAULT_BOOTSTRAP}.",
    ),
]


class Broker(NamedTuple):
    """A broker that has answered: its settings, and the arguments for kafka-python's clients, which hold secrets."""

    settings: Any
    config: dict[str, Any]


def load_config(path: Path) -> Any:
    """The `Settings` of a config file. Raises ConfigError."""
    from labelstream.deploy.observability import tracing
    from labelstream.workers.config_file import load_settings, read_config_file

    HINTS.config = path
    settings = load_settings(read_config_file(path))
    tracing.check(settings.tracing)
    return settings


def load_pipelines(path: Path) -> Any:
    """As `load_config`, for a command that works on pipelines. Raises ConfigError if the config has none."""
    settings = load_config(path)
    if not settings.pipelines:
        raise ConfigError("pipelines", f"is missing in {path}, which only serves HTTP", "give a config with a pipeline")
    return settings


def require_pipeline(settings: Any, pipeline: str, config: Path) -> None:
    """Raises ConfigError if the config has no pipeline of that name."""
    if pipeline not in settings.pipelines:
        known = ", ".join(sorted(settings.pipelines))
        raise ConfigError("PIPELINE", f"no pipeline {pipeline!r} in {config}", f"give one of {known}")


def kafka_settings(bootstrap: str | None, config: Path | None) -> Any:
    """The `KafkaSettings` of `config`, else of the environment with the brokers of `bootstrap`. Raises ConfigError."""
    from labelstream.workers.config_file import forget_environment, load_kafka_settings

    if bootstrap and config:
        raise ConfigError(
            "--bootstrap", "unexpected beside --config, which also names the brokers", "give one of the two"
        )
    if config:
        return load_config(config).required_kafka
    if bootstrap:  # overrides the environment, also in child processes
        forget_environment("kafka.bootstrap_servers")
    try:
        return load_kafka_settings({**_DEFAULTS, "bootstrap_servers": bootstrap or DEFAULT_BOOTSTRAP})
    except ConfigError as error:
        if bootstrap is None or error.key != "kafka.bootstrap_servers":
            raise
        fix = f"for example {DEFAULT_BOOTSTRAP}"
        raise ConfigError("--bootstrap", f"{bootstrap!r} is not HOST:PORT", fix) from None


def connect(kafka: Any, named: bool = True) -> Broker:
    """A broker that answers. `named`: the user chose the brokers. Raises StartError or ConfigError with the cause."""
    from labelstream.workers.stream.broker.connection import config_for
    from labelstream.workers.stream.broker.probe import Unreachable, reach

    try:
        return Broker(kafka, config_for(kafka, reach(kafka)))
    except Unreachable as error:
        if named or kafka.bootstrap_servers != DEFAULT_BOOTSTRAP:
            raise
        why = f"({DEFAULT_BOOTSTRAP} is the default; -c or --bootstrap names another)"
        raise Unreachable(f"{error} {why}") from None


def require_topic(broker: Broker, topic: str, right: str, known: Sequence[str] = ()) -> None:
    """Raises StartError if `topic` does not exist, or if we lack the permission `right` ("READ" or "WRITE") on it.

    `known`: the config's topics, from which the error suggests one. The in-memory broker creates topics on first use.
    """
    from kafka import KafkaAdminClient

    from labelstream.workers.stream.broker.connection import is_in_memory, translate_kafka_errors
    from labelstream.workers.stream.broker.topics import UNKNOWN_TOPIC, access_problem

    if is_in_memory(broker.config):
        return
    with translate_kafka_errors(broker.settings), closing(KafkaAdminClient(**broker.config)) as admin:
        found = admin.describe_topics([topic])[0]
    problem = access_problem(found, right)
    if known and topic not in known and found["error_code"] == UNKNOWN_TOPIC:
        near = get_close_matches(topic, known, 1)
        fix = f"did you mean {near[0]}?" if near else f"the config has {', '.join(known)}"
        problem = f"topic {topic} does not exist; {fix}"
    if problem is not None:
        raise StartError(problem)


def read_now(broker: Broker, pipeline: Any) -> list[str]:
    """The topics that the pipeline reads now. Raises StartError if there is none."""
    from kafka import KafkaAdminClient

    from labelstream.workers.stream.broker.connection import translate_kafka_errors
    from labelstream.workers.stream.broker.topics import UNKNOWN_TOPIC, topics_read

    with translate_kafka_errors(broker.settings), closing(KafkaAdminClient(**broker.config)) as admin:
        topics = topics_read(admin, pipeline)
        if len(topics) > 1:
            missing = {told["name"] for told in admin.describe_topics(topics) if told["error_code"] == UNKNOWN_TOPIC}
            topics = [topic for topic in topics if topic not in missing] or topics
    if not topics:
        raise StartError(f"no topic matches {pipeline.inputs.pattern}; create one, or change the pattern in `input`")
    return topics


@contextmanager
def reader(broker: Broker, topics: list[str], from_beginning: bool) -> Iterator[Any]:
    """A consumer of all partitions of `topics`. The consumer joins no group and commits nothing.

    Records of open or aborted transactions are hidden. Raises StartError.
    """
    from labelstream.workers.stream.broker.bounded_reader import make_reader, partitions_of
    from labelstream.workers.stream.broker.connection import translate_kafka_errors

    with translate_kafka_errors(broker.settings):
        consumer = make_reader(broker.config, from_beginning)
    try:
        with translate_kafka_errors(broker.settings):
            partitions = [partition for topic in topics for partition in partitions_of(consumer, topic)]
            missing = [topic for topic in topics if all(partition.topic != topic for partition in partitions)]
            if missing:
                raise StartError(f"topic {missing[0]}: does not exist; `labelstream topics create -c FILE` creates it")
            consumer.assign(partitions)
            (consumer.seek_to_beginning if from_beginning else consumer.seek_to_end)(*partitions)
        yield consumer  # outside `translate_kafka_errors`: a closed pipe of the caller is not an error of Kafka
    finally:
        consumer.close(autocommit=False, timeout_ms=2_000)


def poll(broker: Broker, consumer: Any, timeout_ms: int = 200) -> list[Any]:
    """The next records of all partitions. Raises StartError."""
    from labelstream.workers.stream.broker.connection import translate_kafka_errors

    with translate_kafka_errors(broker.settings):
        return [record for records in consumer.poll(timeout_ms=timeout_ms).values() for record in records]


@contextmanager
def made_topics(broker: Broker, topics: Iterable[str], groups: Sequence[str]) -> Iterator[None]:
    """Create the topics; delete them and the groups at the end. The in-memory broker forgets them by itself."""
    from kafka import KafkaAdminClient
    from kafka.errors import GroupIdNotFoundError

    from labelstream.workers.stream.broker.connection import is_in_memory, translate_kafka_errors
    from labelstream.workers.stream.broker.topics import make_in_memory

    if is_in_memory(broker.config):
        with translate_kafka_errors(broker.settings):
            make_in_memory(broker.config, topics)
        yield
        return
    admin: Any
    with translate_kafka_errors(broker.settings), closing(KafkaAdminClient(**broker.config)) as admin:
        admin.create_topics({topic: {"num_partitions": PARTITIONS} for topic in topics}, wait_for_metadata=True)
    try:
        yield
    finally:
        with translate_kafka_errors(broker.settings), closing(KafkaAdminClient(**broker.config)) as admin:
            admin.delete_topics(list(topics))
            for group in groups:
                with suppress(GroupIdNotFoundError):  # interrupted before the first member joined
                    admin.delete_groups([group])
