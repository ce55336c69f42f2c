"""`labelstream produce`: sends lines of a file to a topic."""

import time
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import typer

from labelstream.deploy.cli.common.completion import complete_pipeline_or_topic
from labelstream.deploy.cli.common.connect import Bootstrap, OptionalConfig, connect, require_topic
from labelstream.deploy.cli.common.console import plural, say, stops_on_signals
from labelstream.deploy.cli.common.progress import with_progress
from labelstream.deploy.cli.common.text_file import TextFile, open_text_file, read_rows
from labelstream.deploy.cli.topics.destination import check_first, find_destination, text_path
from labelstream.deploy.cli.topics.line_format import KeyedValue, LineReader
from labelstream.workers.errors import ConfigError, StartError

LARGEST_RECORD_BYTES = 32 * 1024 * 1024  # the producer's limit; a topic's own limit is usually 1 MB


def produce(
    name: Annotated[
        str,
        typer.Argument(
            metavar="PIPELINE|TOPIC",
            help="A pipeline of the config, which means its input topic; or a topic.",
            autocompletion=complete_pipeline_or_topic,
        ),
    ],
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE|-", help="File with lines, or .csv or .tsv with rows; also compressed: .gz, .zst. - is stdin."
        ),
    ] = "-",
    bootstrap: Bootstrap = None,
    config: OptionalConfig = None,
    topic: Annotated[
        str | None, typer.Option(metavar="TOPIC", help="Input topic to send to, for a pipeline that reads several.")
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="json|text",
            help="Format of the messages. Default: the format that the pipeline reads. For a topic without a pipeline: "
            'JSON objects are sent unchanged, and other lines as {"text": LINE}.',
        ),
    ] = None,
    wrap: Annotated[
        bool,
        typer.Option("--wrap", help="Send each line as the text of a JSON object, where the pipeline reads the text."),
    ] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Send every line unchanged and unchecked.")] = False,
    text_field: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Column with the text; or JSON field, if the pipeline reads plain text."),
    ] = None,
    key_field: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column or JSON field with the key, such as user.id.")
    ] = None,
    key_separator: Annotated[
        str | None, typer.Option(metavar="TEXT", help="String between key and value of each line.")
    ] = None,
) -> None:
    """Send the lines of a file or of stdin to a pipeline or a topic, one message per line.

    Blank lines are skipped. If the pipeline cannot read the first messages, nothing is sent. The command ends when the
    broker has acknowledged every message.
    """
    _check_options(format, wrap, raw, text_field, key_field, key_separator)
    to = find_destination(name, bootstrap, config, topic)
    if to.settings is not None:
        if format not in (None, to.settings.format):
            raise ConfigError("--format", f"pipeline {to.pipeline} reads {to.settings.format}", "leave out --format")
        format = to.settings.format
    if wrap and format == "text":
        raise ConfigError("--wrap", "makes JSON objects, but the messages are plain text", "leave out --wrap")
    path = text_path(to.settings) if to.settings is not None else "text"
    reader = LineReader(format, wrap, raw, text_field, path, key_field, key_separator)  # type: ignore[arg-type]
    with open_text_file(file) as opened:
        if opened.is_terminal:
            say("reading lines from the terminal until Ctrl-D")
        messages = _messages(opened, reader)
        if not raw:
            messages = check_first(opened, messages, to)
        broker = connect(to.kafka, named=bool(bootstrap or config))
        require_topic(broker, to.topic, "WRITE")
        _send_all(broker, to.topic, opened, messages)


def _check_options(
    format: str | None, wrap: bool, raw: bool, text_field: str | None, key_field: str | None, key_separator: str | None
) -> None:
    """Raises ConfigError."""
    if format == "auto":
        raise ConfigError("--format", "'auto' was removed", "leave out --format, which does the same for a topic")
    if format not in (None, "json", "text"):
        raise ConfigError("--format", f"unknown format {format!r}", "give json or text")
    if raw and (format or wrap or text_field):
        problem = "sends lines unchanged, so --format, --wrap and --text-field have no effect"
        raise ConfigError("--raw", problem, "leave out either --raw or the others")
    if wrap and (text_field or key_field):
        problem = "uses whole lines as texts, which have no fields"
        raise ConfigError("--wrap", problem, "leave out --text-field and --key-field")
    if key_field and key_separator:
        raise ConfigError("--key-field", "unexpected beside --key-separator", "give one of the two")
    if key_separator == "":
        raise ConfigError("--key-separator", "is empty", "give a string, such as $'\\t'")


def _messages(file: TextFile, reader: LineReader) -> Iterator[KeyedValue]:
    """Raises ConfigError for options that do not apply to the kind of file."""
    if file.separator is None or reader.raw:
        if reader.text_field and reader.format != "text":
            fix = "set fields.text of the pipeline in the config, or leave out --text-field"
            raise ConfigError("--text-field", "has no effect on lines that are sent as JSON", fix)
        return reader.read(file.lines(), file.is_json)
    if reader.wrap or reader.key_separator:
        option = "--wrap" if reader.wrap else "--key-separator"
        fix = "name columns by --text-field and --key-field"
        raise ConfigError(option, f"is for lines, but {file.name} has columns", fix)
    return reader.read_rows(read_rows(file.lines(), file.separator))


class _Acknowledged:
    """Counts acknowledgements, and keeps the first error."""

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
    from labelstream.workers.stream.producer.kafka_producer.client import make_producer

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
        raise StartError(f"topic {topic}: the broker refused a message ({name}: {acknowledged.error})")
    if acknowledged.count < sent:
        raise StartError(f"topic {topic}: {sent - acknowledged.count} of {sent} messages were not acknowledged in time")
