"""`input`: the topics that a pipeline reads, by their names or by a pattern."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, Field

from labelstream.workers.records.conditions import pattern_of
from labelstream.workers.records.routes import route_topics
from labelstream.workers.section import Section

TOPIC_FORM = r"^[a-zA-Z0-9._-]{1,249}$"
TOPIC_WORDS = "must be of letters, digits, ., _ and -, 249 at most"
Topic = Annotated[str, Field(pattern=TOPIC_FORM)]


@cache
def _whole(pattern: str) -> Any:
    """Validator whose `isinstance_python(topic)` matches whole names in linear time. Raises ValueError."""
    pattern_of(pattern)  # alone first: `a)(b` would be valid within the group
    return pattern_of(rf"\A(?:{pattern})\z")


class TopicPattern(Section):
    """All topics whose whole name matches a regular expression."""

    pattern: Annotated[str, Field(min_length=1)] = Field(
        description="Regular expression (Rust crate regex) that must match the whole name of a topic."
    )


def _parse(value: Any) -> Any:
    """Raises ValueError with one text for all three forms: pydantic would report each form that does not apply."""
    if (
        isinstance(value, dict)
        and value.keys() == {"pattern"}
        and value["pattern"]
        and isinstance(value["pattern"], str)
    ):
        _whole(value["pattern"])
        return TopicPattern(pattern=value["pattern"])
    names = [value] if isinstance(value, str) else value
    if isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names):
        if wrong := next((name for name in names if not re.fullmatch(TOPIC_FORM, name)), None):
            raise ValueError(f"{wrong!r} is not a topic's name, which {TOPIC_WORDS}")
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"{twice} is listed twice; name each topic once")
    elif not isinstance(value, TopicPattern):
        raise ValueError("must be a topic, a list of topics, or {pattern: REGEX}")
    return value


Input = Annotated[
    Topic | tuple[Topic, ...] | TopicPattern,
    BeforeValidator(_parse, json_schema_input_type=Topic | Annotated[list[Topic], Field(min_length=1)] | TopicPattern),
]


class InputTopics(NamedTuple):
    """`input` as named topics or, without names, as a pattern."""

    names: tuple[str, ...]
    pattern: str = ""

    @classmethod
    def of(cls, input: Any) -> "InputTopics":
        if isinstance(input, TopicPattern):
            return cls((), input.pattern)
        return cls((input,) if isinstance(input, str) else input)

    def match(self, topic: str) -> bool:
        """Does the pipeline read this topic? A pattern never matches Kafka's own topics, which begin with __."""
        if self.names:
            return topic in self.names
        return not topic.startswith("__") and bool(_whole(self.pattern).isinstance_python(topic))

    def among(self, topics: Iterable[str]) -> list[str]:
        """The topics that the pipeline reads, sorted."""
        return sorted(filter(self.match, topics))

    def __str__(self) -> str:
        return ", ".join(self.names) or f"the topics that match {self.pattern}"


def input_problems(name: str, pipelines: Mapping[str, Any]) -> Iterator[str]:
    """Yield topics of the config that the pipeline `name` must not read.

    A pattern must match no topic that a pipeline of the config writes. A named topic may be another pipeline's output.
    """
    inputs, key = pipelines[name].inputs, f"pipelines.{name}.input"
    for other, pipeline in pipelines.items():
        ledger = f"{pipeline.dead_letter}.redriven"
        if inputs.names:
            if ledger in inputs.names:
                yield f"{key}: {ledger} is the topic of the redrives of pipeline {other}; name another topic"
            continue
        for topic, use in {**written_by(pipeline), ledger: "topic of the redrives"}.items():
            if inputs.match(topic):
                yield (
                    f"{key}: the pattern matches {topic}, the {use} of pipeline {other}; narrow the pattern, or rename "
                    "the topic"
                )


def written_by(pipeline: Any) -> dict[str, str]:
    """The topics that a pipeline writes, with the use of each."""
    uses = dict.fromkeys(route_topics(pipeline.route), "route topic")
    if pipeline.review is not None:
        uses[pipeline.review] = "review topic"
    return {**uses, pipeline.dead_letter: "dead-letter topic", pipeline.output: "output"}
