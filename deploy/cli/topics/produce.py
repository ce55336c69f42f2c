"""`labelstream produce`: lines into a topic."""

import time
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.common.completion import complete_pipeline_or_topic
from labelstream.deploy.cli.common.connect import Bootstrap, OptionalConfig, connect, require_topic
from labelstream.deploy.cli.common.console import plural, say, stops_on_signals
from labelstream.deploy.cli.common.progress import with_progress
from labelstream.deploy.cli.common.text_file import TextFile, open_text_file, read_rows
from labelstream.deploy.cli.topics.destination import find_destination, look_first, text_path
from labelstream.deploy.cli.topics.line_format import KeyedValue, LineReader
from labelstream.workers.errors import ConfigError, StartError

LARGEST_RECORD_BYTES = 32 * 1024 * 1024  # ours to send; the topic's own limit is usually 1 MB


def produce(
    name: Annotated[
        str,
        typer.Argument(
            metavar="PIPELINE|TOPIC",
            help="With --config the name of a pipeline, whose input topic it means. Any other name is a topic.",
            autocompletion=complete_pipeline_or_topic,
        ),
    ],
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE|-", help="Lines to send, or rows of a .csv or .tsv; also as .gz or .zst. - is stdin."
        ),
    ] = "-",
    bootstrap: Bootstrap = None,
    config: OptionalConfig = None,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="json|text",
            help="What the messages are, as in the config. Default: what the pipeline reads; of a topic, JSON objects "
            'go as they are and other lines as {"text": line}.',
        ),
    ] = None,
    wrap: Annotated[
        bool,
        typer.Option("--wrap", help="Lines are texts: send each as JSON, with the text where the pipeline reads it."),
    ] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Send every line exactly as it is, whatever it holds.")] = False,
    text_field: Annotated[
        str | None, typer.Option(metavar="NAME", help="The column of the text, or its field where text alone is sent.")
    ] = None,
    key_field: Annotated[
        str | None, typer.Option(metavar="NAME", help="The key is this column or JSON field, such as user.id.")
    ] = None,
    key_separator: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Lines are KEY, this separator, VALUE.")
    ] = None,
) -> None:
    """Send the lines of a file or of stdin to a pipeline or a topic, one message per line.

    Blank lines are left out. The first messages are looked at, and nothing is sent where the pipeline cannot read them.
    Ends when the broker has acknowledged every message.
    """
    _check_options(format, wrap, raw, text_field, key_field, key_separator)
    to = find_destination(name, bootstrap, config)
    if to.settings is not None:
        if format not in (None, to.settings.format):
            raise ConfigError("--format", f"pipeline {to.pipeline} reads {to.settings.format}", "leave it out")
        format = to.settings.format
    if wrap and format == "text":
        raise ConfigError("--wrap", "makes JSON, and the messages are plain text", "leave it out")
    path = text_path(to.settings) if to.settings is not None else "text"
    reader = LineReader(format, wrap, raw, text_field, path, key_field, key_separator)  # type: ignore[arg-type]
    with open_text_file(file) as opened:
        if opened.is_terminal:
            say("reading lines from the terminal; end with Ctrl-D")
        messages = _messages(opened, reader)
        if not raw:
            messages = look_first(opened, messages, to)
        broker = connect(to.kafka, named=bool(bootstrap or config))
        require_topic(broker, to.topic, "WRITE")
        _send_all(broker, to.topic, opened, messages)


def _check_options(
    format: str | None, wrap: bool, raw: bool, text_field: str | None, key_field: str | None, key_separator: str | None
) -> None:
    """Raises ConfigError."""
    if format == "auto":
        raise ConfigError("--format", "auto was removed, and is what topics get without it", "leave --format out")
    if format not in (None, "json", "text"):
        raise ConfigError("--format", f"{format!r} is no format", "json or text")
    if raw and (format or wrap or text_field):
        useless = "--format, --wrap and --text-field have no effect"
        raise ConfigError("--raw", f"sends lines as they are, so {useless}", "leave out the one or the others")
    if wrap and (text_field or key_field):
        problem = "takes whole lines for texts, which have no fields"
        raise ConfigError("--wrap", problem, "leave out --text-field and --key-field")
    if key_field and key_separator:
        raise ConfigError("--key-field", "comes beside --key-separator", "give one of the two")
    if key_separator == "":
        raise ConfigError("--key-separator", "is empty", "for example --key-separator $'\\t'")


def _messages(file: TextFile, reader: LineReader) -> Iterator[KeyedValue]:
    """Raises ConfigError for options that the kind of file has no use for."""
    if file.separator is None or reader.raw:
        if reader.text_field and reader.format != "text":
            fix = "set fields.text in the config of the pipeline, or leave it out"
            raise ConfigError("--text-field", "has no effect on lines that are sent as JSON", fix)
        return reader.read(file.lines(), file.is_json)
    if reader.wrap or reader.key_separator:
        option = "--wrap" if reader.wrap else "--key-separator"
        fix = "name columns with --text-field and --key-field"
        raise ConfigError(option, f"is for lines, and {file.name} has columns", fix)
    return reader.read_rows(read_rows(file.lines(), file.separator))


class _Acknowledged:
    """Counts acknowledgements; keeps the first refusal."""

    def __init__(self) -> None:
        self.count = 0
        self.error: BaseException | None = None

    def note(self, _: object) -> None:
        self.count += 1

    def fail(self, error: BaseException) -> None:
        self.error = self.error or error


def _send_all(broker: Any, topic: str, file: TextFile, messages: Iterable[KeyedValue]) -> None:
    from kafka.errors import KafkaError

    from labelstream.workers.stream.broker.connection import translate_kafka_errors
    from labelstream.workers.stream.producer.client import make_producer

    acknowledged, started, sent = _Acknowledged(), time.monotonic(), 0
    with translate_kafka_errors(broker.settings):
        producer = make_producer(
            broker.config, broker.settings, [LARGEST_RECORD_BYTES], broker.settings.delivery_timeout_ms
        )
    try:
        with stops_on_signals():
            for key, value in with_progress(file, messages, "messages"):
                if acknowledged.error is not None:
                    break
                future = producer.send(topic, value, key)
                future.add_callback(acknowledged.note)
                future.add_errback(acknowledged.fail)
                sent += 1
            producer.flush(timeout=broker.settings.delivery_timeout_ms / 1000)
    except KafkaError as error:
        acknowledged.fail(error)
    finally:
        producer.close(timeout=5)
        say(f"{plural(acknowledged.count, 'message')} acknowledged by {topic} in {time.monotonic() - started:.1f} s")
    if acknowledged.error is not None:
        name = type(acknowledged.error).__name__
        raise StartError(f"topic {topic}: a message was refused ({name}: {acknowledged.error})")
    if acknowledged.count < sent:
        raise StartError(f"topic {topic}: {sent - acknowledged.count} of {sent} messages were not acknowledged")
