"""Finds the topic that `labelstream produce` sends to, and checks that its pipeline can read the messages."""

from collections.abc import Iterable, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from labelstream.deploy.cli.common.connect import kafka_settings, load_config
from labelstream.deploy.cli.common.console import escape, plural, say, shorten
from labelstream.deploy.cli.common.text_file import LineError, TextFile
from labelstream.deploy.cli.topics.line_format import KeyedValue, as_object, names_in
from labelstream.workers.errors import ConfigError

LOOKED_AT = 20  # messages
NAMED = 8  # fields


class Destination(NamedTuple):
    """`pipeline` and `settings`: name and settings of the pipeline that reads `topic`; None without a config."""

    kafka: Any
    topic: str
    pipeline: str | None = None
    settings: Any = None


def find_destination(name: str, bootstrap: str | None, config: Path | None, topic: str | None = None) -> Destination:
    """An input topic of the pipeline `name`, if there is a config; else the topic `name`. Raises ConfigError.

    `topic`: which input topic, for a pipeline that reads several.
    """
    settings = load_config(config) if config is not None and bootstrap is None else None
    if settings is not None and name in settings.pipelines:
        reader = settings.pipelines[name]
        return Destination(settings.required_kafka, _input_of(name, reader.inputs, topic), name, reader)
    if topic is not None:
        problem = f"has no effect: {name} is not a pipeline of a config"
        raise ConfigError("--topic", problem, f"give {topic} in its place")
    if settings is None:
        return Destination(kafka_settings(bootstrap, config), name)
    pipelines = settings.pipelines
    readers = [one for one in pipelines if pipelines[one].inputs.match(name)]
    if len(readers) == 1:
        return Destination(settings.required_kafka, name, readers[0], pipelines[readers[0]])
    from labelstream.workers.records.routes import route_topics

    others = {
        topic
        for one in pipelines.values()
        for topic in (one.output, one.dead_letter, one.review, *route_topics(one.route))
    }
    if not readers and name not in others:
        say(f"sending to topic {name}: {config} has no pipeline of that name, only {', '.join(pipelines) or 'HTTP'}")
    return Destination(settings.required_kafka, name)


def _input_of(pipeline: str, inputs: Any, topic: str | None) -> str:
    """Raises ConfigError."""
    if topic is None and len(inputs.names) != 1:
        raise ConfigError("--topic", f"is missing: pipeline {pipeline} reads {inputs}", "name the topic to send to")
    if topic is not None and not inputs.match(topic):
        raise ConfigError("--topic", f"{topic} is not an input of pipeline {pipeline}", f"it reads {inputs}")
    return topic or inputs.names[0]


def check_first(file: TextFile, messages: Iterable[KeyedValue], to: Destination) -> Iterable[KeyedValue]:
    """Check that the pipeline can read the first messages, and return all messages. Checks only one from a pipe.

    Raises ConfigError, or LineError.
    """
    if to.settings is None:
        return messages
    messages = iter(messages)
    try:
        first = list(islice(messages, LOOKED_AT if file.is_regular else 1))
    except LineError as error:
        whose = f"pipeline {to.pipeline} reads {to.settings.format}; nothing was sent"
        raise LineError(f"{file.name}: {error} ({whose})") from None
    if first and (problem := _problem(first, to, file.separator is not None)):
        raise ConfigError(file.name, f"{problem[0]}; nothing was sent", problem[1])
    return chain(first, messages)


def text_path(settings: Any) -> str:
    """The dotted path of the text in JSON; `text` if the pipeline reads no single dotted path."""
    from labelstream.workers.records.places import JsonPath, parse_path, parse_place

    places = [parse_place(place) for place in settings.fields.text]
    if settings.text_field is not None:
        places = [parse_path(settings.text_field)]
    path = places[0] if len(places) == 1 else None
    return str(path.parts[0]) if isinstance(path, JsonPath) and len(path.parts) == 1 else "text"


def _problem(messages: Sequence[KeyedValue], to: Destination, columns: bool) -> tuple[str, str] | None:
    """What is wrong if the pipeline can read none of the values, and the fix.

    A record that `only_if` or `on_empty_text` excludes has the right format; a note says that no record is classified.
    """
    from labelstream.schemas.dead_letter import Reason
    from labelstream.workers.stream.codec.decode import decoder
    from labelstream.workers.stream.codec.fields.conditions import ConditionCheck
    from labelstream.workers.stream.codec.rejection import DecodeError

    if to.settings.format == "text" and all(as_object(message.value) is not None for message in messages):
        problem = f"contains JSON objects, but pipeline {to.pipeline} reads plain text (format: text)"
        return problem, "name the field with the text by --text-field, or send the lines unchanged with --raw"
    decode, conditions = decoder(to.settings), ConditionCheck(to.settings)
    reasons, excluded = list[str](), list[str]()
    for message in messages:
        try:
            if conditions.takes_value(message.value):
                decode(message.value, message.key)
                return None
            excluded.append("only_if")
        except DecodeError as error:
            if error.reason is Reason.EMPTY_TEXT and to.settings.on_empty_text != "dead_letter":
                excluded.append(f"on_empty_text: {error.message}")
            else:
                reasons.append(f"{error.reason.value}: {error.message}")
    looked_at = f"the first {plural(len(messages), 'message').removeprefix('1 ')}"
    if not reasons:
        say(f"note: pipeline {to.pipeline} does not classify {looked_at} ({excluded[0]})")
        return None
    unread = f"{len(reasons)} of {looked_at}" if excluded else looked_at
    if columns:
        fix = f"name the column with the text by --text-field; the first row has {_names(messages[0].value)}"
    elif to.settings.format == "json":
        places = to.settings.fields.text
        read_at, key = (", ".join(places), "fields.text") if places else (text_path(to.settings), "text_field")
        fix = f"the text is read at {read_at}, see {key}; the first message has {_names(messages[0].value)}"
    else:
        fix = "--raw sends them anyway, as future dead letters"
    return f"pipeline {to.pipeline} cannot read {unread} ({reasons[0]})", fix


def _names(value: bytes) -> str:
    """The first names of the fields."""
    names = names_in(value)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(shorten(escape(name), 40) for name in names[:NAMED]) + more if names else "no fields"
