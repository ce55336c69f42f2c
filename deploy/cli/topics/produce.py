"""`labelstream produce`: lines into a topic."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from labelstream.deploy.cli.common.connect import Bootstrap, OptionalConfig, connect, kafka_settings, require_topic
from labelstream.deploy.cli.common.console import err, plural, say, stops_on_signals
from labelstream.deploy.cli.topics.line_format import LineFormat, LineReader
from labelstream.workers.errors import ConfigError, StartError
from labelstream.workers.file_errors import file_problem

LARGEST_RECORD_BYTES = 32 * 1024 * 1024  # ours to send; the topic's own limit is usually 1 MB


def produce(
    topic: Annotated[str, typer.Argument(help="The topic to write to.")],
    file: Annotated[str, typer.Argument(metavar="[FILE|-]", help="Lines to send; - is stdin.")] = "-",
    bootstrap: Bootstrap = None,
    config: OptionalConfig = None,
    format: Annotated[
        LineFormat,
        typer.Option(
            help='auto: JSON objects are sent as they are, other lines become {"text": line}. '
            "json: every line must be a JSON object. text: every line is wrapped."
        ),
    ] = LineFormat.AUTO,
    raw: Annotated[bool, typer.Option("--raw", help="Send every line exactly as it is, whatever it holds.")] = False,
    key_field: Annotated[
        str | None, typer.Option(metavar="NAME", help="The key is this field of the JSON object.")
    ] = None,
    key_separator: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Lines are KEY, this separator, VALUE.")
    ] = None,
) -> None:
    """Send the lines of a file or of stdin to a topic, one message per line.

    A line that is a JSON object goes as it is; any other line is wrapped as `{"text": line}`. Blank lines are left
    out. Ends when the broker has acknowledged every message.
    """
    if raw and format is not LineFormat.AUTO:
        raise ConfigError("--raw", "sends lines as they are, so --format has no effect", "give one of the two")
    if key_field and key_separator:
        raise ConfigError("--key-field", "comes beside --key-separator", "give one of the two")
    if key_separator == "":
        raise ConfigError("--key-separator", "is empty", "for example --key-separator $'\\t'")
    kafka = kafka_settings(bootstrap, config)
    with _opened(file) as source:
        broker = connect(kafka)
        require_topic(broker, topic, "WRITE")
        _send_all(broker, topic, source, LineReader(format, raw, key_field, key_separator))


def _opened(file: str) -> Any:
    if file == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(file).open("rb")
    except OSError as error:
        raise ConfigError(
            file, f"cannot be read ({file_problem(error, file)})", "give a file, or - for stdin"
        ) from None


class _Acknowledged:
    """Counts acknowledgements; keeps the first refusal."""

    def __init__(self) -> None:
        self.count = 0
        self.error: BaseException | None = None

    def note(self, _: object) -> None:
        self.count += 1

    def fail(self, error: BaseException) -> None:
        self.error = self.error or error


def _send_all(broker: Any, topic: str, source: BinaryIO, reader: LineReader) -> None:
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
            for key, value in reader.read(_with_progress(source)):
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


def _with_progress(source: BinaryIO) -> Iterator[bytes]:
    """The lines, with a progress bar on a terminal: by bytes of a file, by a count of what comes through a pipe."""
    console = err()
    if not console.is_terminal or source.isatty():
        yield from source
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    size = os.fstat(source.fileno()).st_size or None
    columns = (BarColumn(), TextColumn("{task.fields[lines]} lines"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=size, lines=0)
        done = lines = 0
        for lines, line in enumerate(source, 1):
            done += len(line)
            if lines % 512 == 0:
                progress.update(task, completed=done, lines=lines)
            yield line
