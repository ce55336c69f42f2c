"""The section of one pipeline, and its circuit breaker."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from labelstream.workers.records.conditions import Conditions, condition_problems
from labelstream.workers.records.fields import FieldSettings
from labelstream.workers.records.inputs import Input, InputTopics, Topic
from labelstream.workers.records.places import PathName
from labelstream.workers.records.routes import RouteRule
from labelstream.workers.records.shape import ENRICH_FIELD, EnrichField, shape_problems
from labelstream.workers.section import Section
from labelstream.workers.settings.forms import Name
from labelstream.workers.settings.limits import LimitSettings
from labelstream.workers.settings.ranges import Range, Workers

MAX_IN_FLIGHT = 64  # upper bound of `max_in_flight: auto`


class BreakerSettings(Section):
    """The circuit breaker: when a pipeline pauses because its model fails, and when dead letters raise an alarm."""

    max_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of messages, 0 to 1: a worker pauses if its model fails more, and raises an alarm if more"
        " become dead letters; 1 disables both.",
    )
    window_s: float = Field(default=60.0, gt=0, description="Seconds of the sliding window that `max_share` counts in.")
    min_messages: int = Field(
        default=100, ge=1, description="Number of messages in the window below which `max_share` does not apply."
    )
    probe_s: float = Field(
        default=60.0, gt=0, description="Seconds between the trial calls by which a paused worker tests its model."
    )


class PipelineSettings(Section):
    """A pipeline: reads messages from input topics, has a model classify them, and writes results to a topic."""

    input: Input = Field(
        description="Topic that the pipeline reads messages from, a list of topics, or {pattern: REGEX} for all topics"
        " whose whole name matches."
    )
    discovery_interval_s: float = Field(
        default=30.0, ge=1, description="Seconds in which new input topics and new partitions are found at the latest."
    )
    output: Topic = Field(description="Topic that the pipeline writes results to.")
    dead_letter: Topic = Field(description="Topic for messages that cannot be classified, each with the reason.")
    review: Topic | None = Field(
        default=None, description="Topic for a copy of each result in which the model abstains; null means no copies."
    )
    route: tuple[RouteRule, ...] = Field(
        default=(),
        description="Rules that send results to other topics than the output; the first that matches a result applies.",
    )
    model: Name = Field(description="Name of the model under `models` that classifies messages without a `model`.")
    models: tuple[Name, ...] = Field(
        default=(), description="Names of further models that a message may ask for in its field `model`."
    )
    group_id: str | None = Field(
        default=None, min_length=1, max_length=249, description="Consumer group; null means labelstream-PIPELINE."
    )
    start_from: Literal["earliest", "latest"] = Field(
        default="earliest",
        description="Start of a group without any committed offset: at the oldest message, or at the end of the topic.",
    )
    on_offset_out_of_range: Literal["fail", "earliest", "latest"] = Field(
        default="fail", description="Reaction to messages deleted unread: stop, or go on at the topic's start or end."
    )
    delivery: Literal["at_least_once", "exactly_once"] = Field(
        default="at_least_once",
        description="Delivery of results: at_least_once may repeat results after a crash; exactly_once writes results"
        " and offsets in transactions.",
    )
    transaction_interval_ms: int = Field(
        default=1_000, ge=10, description="Milliseconds between commits of exactly_once; delays results by up to it."
    )
    transaction_max_messages: int = Field(
        default=20_000, ge=1, description="Number of messages after which exactly_once commits early."
    )
    workers: Workers = Field(default=Range(), description="Number of workers, or a range in which the backlog decides.")
    target_drain_s: float = Field(
        default=120.0, ge=1, description="Seconds to work a backlog off; a lower value scales up sooner."
    )
    max_lag_s: float = Field(
        default=30.0, ge=1, description="Seconds that a message may wait for its result; the autoscaling keeps below."
    )
    format: Literal["json", "text"] = Field(
        default="json", description="Format of a message's value: a JSON object, or plain text in UTF-8."
    )
    text_field: PathName | None = Field(
        default=None,
        description="Dotted path of the text in the JSON object, such as event.message; null means Labelstream's own"
        " message format, with the text in `text`, or that `fields` says where the text is.",
    )
    fields: FieldSettings = Field(
        default=FieldSettings(), description="Places of the parts of a message in records of another format."
    )
    only_if: Conditions = Field(
        default=(),
        description="Conditions on fields and headers; a record that does not meet all of them is not classified.",
    )
    max_age_s: float | None = Field(
        default=None,
        gt=0,
        description="Seconds after its timestamp from which a record is not classified; null means no limit.",
    )
    otherwise: Literal["skip", "pass"] = Field(
        default="skip",
        description="Handling of a record that `only_if` or `max_age_s` excludes: no record, or the record as it came.",
    )
    output_shape: Literal["result", "enrich"] = Field(
        default="result",
        description="Value of an output record: a result, or the input record with the enrichment added to its JSON.",
    )
    enrich_field: EnrichField = Field(
        default=ENRICH_FIELD, description="Name of the field that enrich adds to the record's JSON object."
    )
    on_existing: Literal["dead_letter", "replace"] = Field(
        default="dead_letter",
        description="Handling of a record that has `enrich_field` already: a dead letter, or a new value in its place.",
    )
    include_text: Literal["never", "review", "always"] = Field(
        default="review", description="Results that hold the text: none, the copies for `review`, or all."
    )
    output_partition: Literal["key", "same"] = Field(
        default="key",
        description="Partition of a result: by the message's key, without a key by the message's partition; or always"
        " the same number as the message's.",
    )
    output_timestamp: Literal["input", "now"] = Field(
        default="input", description="Timestamp of a result: the message's timestamp, or the time of sending."
    )
    headers: Literal["pass", "cloudevents"] = Field(
        default="pass", description="Headers of a result: the message's headers, or these and CloudEvents attributes."
    )
    on_empty_text: Literal["dead_letter", "skip", "pass"] = Field(
        default="dead_letter",
        description="Handling of a blank or null text: a dead letter, no record at all, or the record as it came.",
    )
    on_tombstone: Literal["skip", "dead_letter", "pass"] = Field(
        default="skip",
        description="Handling of a record without a value: no record at all, a dead letter, or the record as it came.",
    )
    limits: LimitSettings = Field(
        default=LimitSettings(), description="Upper bounds of messages; a larger message becomes a dead letter."
    )
    max_poll_records: int = Field(
        default=2_048, ge=1, le=10_000, description="Number of messages per micro-batch at most; fewer for slow models."
    )
    max_in_flight: Annotated[int, Field(ge=1, le=1_000)] | Literal["auto"] = Field(
        default="auto",
        description="Number of micro-batches in flight per worker at most; auto means 4 to 64, as many as keep the"
        " replicas busy.",
    )
    commit_interval_ms: int = Field(
        default=1_000, ge=10, description="Milliseconds between commits of at_least_once; a crash repeats as much."
    )
    drain_timeout_s: float = Field(
        default=30.0, gt=0, description="Seconds that a stopping worker has to finish its messages in flight."
    )
    rebalance_drain_s: float = Field(
        default=10.0,
        ge=0,
        description="Seconds to finish messages of partitions that a worker gives up in a rebalance.",
    )
    stall_timeout_s: float = Field(
        default=300.0,
        gt=0,
        description="Seconds without any answer after which Serve replaces a worker; at least 2.5 times the models'"
        " `call_timeout_s` applies.",
    )
    breaker: BreakerSettings = Field(
        default=BreakerSettings(), description="Circuit breaker: pauses the pipeline while its model fails messages."
    )

    def problems(self) -> Iterator[str]:
        yield from self.fields.problems_with(self.format, self.text_field)
        yield from shape_problems(self)
        yield from condition_problems(self)
        if self.format == "text" and self.text_field:
            yield "text_field has no effect with format text: remove text_field, or set format to json"
        if self.dead_letter in self.inputs.names:
            yield "dead_letter is an input topic, so every dead letter would be read again: name another topic"
        if self.output in self.inputs.names:
            yield "output is an input topic, so every result would be classified again: name another topic"
        if self.output == self.dead_letter:
            yield "dead_letter is the output topic, whose readers expect results: name another topic"
        if self.review in (*self.inputs.names, self.output, self.dead_letter):
            yield "review is also an input, output or dead_letter topic: name another topic, or remove review"

    @property
    def inputs(self) -> InputTopics:
        """The topics of `input`."""
        return InputTopics.of(self.input)

    @property
    def allowed_models(self) -> tuple[str, ...]:
        """Names of the models that this pipeline's messages may ask for; the first is the default."""
        return (self.model, *(name for name in self.models if name != self.model))

    @property
    def most_in_flight(self) -> int:
        """Upper bound of a worker's micro-batches in flight."""
        return MAX_IN_FLIGHT if self.max_in_flight == "auto" else self.max_in_flight
