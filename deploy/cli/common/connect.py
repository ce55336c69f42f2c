"""How the commands reach Kafka: a config file's kafka section, or the environment and `--bootstrap HOST:PORT`."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from labelstream.deploy.cli.common.completion import DEFAULT_CONFIG
from labelstream.workers.errors import ConfigError, StartError

PARTITIONS = 4  # of a demo's or a benchmark's topic
DEFAULT_BOOTSTRAP = "localhost:9092"
_DEFAULTS = {"request_timeout_ms": 15_000, "delivery_timeout_ms": 30_000}  # a person waits


def _given(context: typer.Context, config: Path | None) -> Path | None:
    """Raises ConfigError where it is missing, with the file that may be meant. The shell's completion goes on."""
    if config is None and not context.resilient_parsing:
        near = DEFAULT_CONFIG.is_file()
        fix = f"{DEFAULT_CONFIG} is in this folder: give -c {DEFAULT_CONFIG}" if near else "give -c FILE"
        raise ConfigError("--config", "is missing", fix)
    return config


ConfigFile = Annotated[
    Path,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="The config file (YAML); required.",
        default_factory=lambda: None,  # no usage error of typer's
        callback=_given,
        show_default=False,
    ),
]
OptionalConfig = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="A config file; its kafka section says how to connect."),
]
Bootstrap = Annotated[
    str | None,
    typer.Option(
        "--bootstrap",
        "-b",
        metavar="HOST:PORT",
        help="The brokers, where there is no --config; TLS and login are the environment's (LABELSTREAM_KAFKA__*). "
        f"Default: the environment's, else {DEFAULT_BOOTSTRAP}.",
    ),
]


class Broker(NamedTuple):
    """A broker that answers: the settings, and the arguments for kafka-python's clients (they hold secrets)."""

    settings: Any
    config: dict[str, Any]


def load_config(path: Path) -> Any:
    """The `Settings` in a file. Raises ConfigError."""
    from labelstream.deploy.observability import tracing
    from labelstream.workers.config_file import load_settings, read_config_file

    settings = load_settings(read_config_file(path))
    tracing.check(settings.tracing)
    return settings


def require_pipeline(settings: Any, pipeline: str, config: Path) -> None:
    """Raises ConfigError where the config has no pipeline of that name."""
    if pipeline not in settings.pipelines:
        known = ", ".join(sorted(settings.pipelines))
        raise ConfigError("PIPELINE", f"there is no pipeline {pipeline!r} in {config}", f"known: {known}")


def kafka_settings(bootstrap: str | None, config: Path | None) -> Any:
    """The `KafkaSettings`: from `config` under the environment, or the environment's under `bootstrap`.

    Raises ConfigError.
    """
    from labelstream.workers.config_file import forget_environment, load_kafka_settings

    if bootstrap and config:
        raise ConfigError("--bootstrap", "comes beside --config, which names the brokers too", "give one of the two")
    if config:
        return load_config(config).kafka
    if bootstrap:  # which wins, in processes that we start as well
        forget_environment("kafka.bootstrap_servers")
    try:
        return load_kafka_settings({**_DEFAULTS, "bootstrap_servers": bootstrap or DEFAULT_BOOTSTRAP})
    except ConfigError as error:
        if bootstrap is None or error.key != "kafka.bootstrap_servers":
            raise
        fix = f"for example {DEFAULT_BOOTSTRAP}"
        raise ConfigError("--bootstrap", f"{bootstrap!r} is not HOST:PORT", fix) from None


def connect(kafka: Any, named: bool = True) -> Broker:
    """Raises StartError or ConfigError with the cause when no broker answers. `named`: the user has said which ones."""
    from labelstream.workers.stream.broker.connection import config_for
    from labelstream.workers.stream.broker.probe import Unreachable, reach

    try:
        return Broker(kafka, config_for(kafka, reach(kafka)))
    except Unreachable as error:
        if named or kafka.bootstrap_servers != DEFAULT_BOOTSTRAP:
            raise
        why = f"{DEFAULT_BOOTSTRAP} is the default, and neither -c nor --bootstrap was given"
        raise Unreachable(f"{error} {why}") from None


def require_topic(broker: Broker, topic: str, right: str, known: Sequence[str] = ()) -> None:
    """Raises StartError when `topic` is not there, or we lack `right` ("READ" or "WRITE") on it.

    `known`: the names that may have been meant, where there is a config. The in-memory broker makes topics by itself.
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


@contextmanager
def reader(broker: Broker, topics: list[str], from_beginning: bool) -> Iterator[Any]:
    """A consumer of all partitions of `topics`, without a group: it commits nothing and disturbs nobody.

    Records of open or aborted transactions stay hidden. Raises StartError.
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
                raise StartError(
                    f"topic {missing[0]}: there is no such topic yet; create it (`labelstream topics create -c FILE`)"
                )
            consumer.assign(partitions)
            (consumer.seek_to_beginning if from_beginning else consumer.seek_to_end)(*partitions)
        yield consumer  # outside of `translate_kafka_errors`: a closed pipe of the caller's is no broker's fault
    finally:
        consumer.close(autocommit=False, timeout_ms=2_000)


def poll(broker: Broker, consumer: Any, timeout_ms: int = 200) -> list[Any]:
    """The next records, of all partitions. Raises StartError."""
    from labelstream.workers.stream.broker.connection import translate_kafka_errors

    with translate_kafka_errors(broker.settings):
        return [record for records in consumer.poll(timeout_ms=timeout_ms).values() for record in records]


@contextmanager
def made_topics(broker: Broker, topics: Iterable[str], groups: Sequence[str]) -> Iterator[None]:
    """Make the topics, and delete them and the groups afterwards; on the in-memory broker they go with the broker."""
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
                with suppress(GroupIdNotFoundError):  # interrupted before anybody joined
                    admin.delete_groups([group])
