"""One frozen, validated tree of settings from one YAML file, every key overridable from the environment.

`LABELSTREAM_<PATH>` with `__` between the levels overrides the file: `LABELSTREAM_KAFKA__BOOTSTRAP_SERVERS`,
`LABELSTREAM_MODELS__SENTIMENT__MAX_BATCH_TOKENS`. `config_file` reads both. Secrets come from
the environment or from files, never from the YAML file itself.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    SecretStr,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from labelstream.workers.classifier import MAX_MESSAGE_TOKENS
from labelstream.workers.engine.description import TaskName
from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.section import Section, refuse, with_more

S = TypeVar("S", bound=Section)
ENV_PREFIX = "LABELSTREAM_"
MAX_IN_FLIGHT = 64  # of `max_in_flight: auto`
MAX_BATCH_BYTES, MAX_IN_FLIGHT_BYTES = 64 * 1024 * 1024, 128 * 1024 * 1024
_SERVER = r"[^,\s]+:\d{1,5}"
_NAME, _LABEL = r"^[a-z0-9]([a-z0-9_-]{0,48}[a-z0-9])?$", r"^[A-Za-z0-9]([A-Za-z0-9./_-]{0,315}[A-Za-z0-9])?$"
_TOPIC, _URL = r"^[a-zA-Z0-9._-]{1,249}$", r"^https?://\S+$"
Name = Annotated[str, Field(pattern=_NAME)]
Label = Annotated[str, Field(pattern=_LABEL)]
Topic = Annotated[str, Field(pattern=_TOPIC)]
Servers = Annotated[str, Field(pattern=rf"^{_SERVER}(,{_SERVER})*$")]
Server = Annotated[str, Field(pattern=rf"^{_SERVER}$")]
# What a text must be to match each of the patterns.
FORMS = {
    _NAME: "must be of lower-case letters, digits, - and _, with a letter or digit at both ends, 50 at most",
    _LABEL: "must be of letters, digits, ., /, _ and -, with a letter or digit at both ends, 317 at most",
    _TOPIC: "must be of letters, digits, ., _ and -, 249 at most",
    rf"^{_SERVER}(,{_SERVER})*$": "must be HOST:PORT, several joined by commas",
    rf"^{_SERVER}$": "must be HOST:PORT",
    _URL: "must be a URL that begins with http:// or https://",
    r"\S": "must not be blank",
}
# `load_settings` refuses one in the file: in the file's schema there is nothing that it may be.
Secret = Annotated[SecretStr | None, WithJsonSchema({"type": "null"})]


class SecuritySettings(Section):
    """How to reach the brokers. Secrets: by environment, or `*_file`."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="Whether the brokers want TLS (SSL) and a login (SASL)."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        default=None, description="How to log in; needed with a SASL protocol."
    )
    username: str | None = Field(default=None, description="User of the login; needed with a SASL protocol.")
    password: Secret = Field(
        default=None,
        description=f"Password of the login; from the environment alone, {ENV_PREFIX}KAFKA__SECURITY__PASSWORD.",
    )
    password_file: Path | None = Field(default=None, description="File that holds the password of the login.")
    ca_file: Path | None = Field(
        default=None, description="PEM file of the CAs that the brokers' certificates are of; null is the system's CAs."
    )
    cert_file: Path | None = Field(default=None, description="PEM file of the client's own certificate.")
    key_file: Path | None = Field(default=None, description="PEM file of the key of `cert_file`.")
    key_password: Secret = Field(
        default=None,
        description="Password that opens `key_file`; from the environment alone, "
        f"{ENV_PREFIX}KAFKA__SECURITY__KEY_PASSWORD.",
    )
    key_password_file: Path | None = Field(default=None, description="File that holds the password of `key_file`.")

    def problems(self) -> Iterator[str]:
        sasl = self.protocol.startswith("SASL")
        if sasl and not (self.sasl_mechanism and self.username and (self.password or self.password_file)):
            yield (
                f"{self.protocol} needs sasl_mechanism, username, and password_file or a password "
                f"in the environment ({ENV_PREFIX}KAFKA__SECURITY__PASSWORD)"
            )
        if not sasl and (self.sasl_mechanism or self.username or self.password or self.password_file):
            yield f"SASL settings have no effect with protocol {self.protocol}: set protocol to SASL_SSL"
        if "SSL" not in self.protocol and (self.ca_file or self.cert_file or self.key_file):
            yield f"TLS files have no effect with protocol {self.protocol}: set protocol to SSL or SASL_SSL"
        if bool(self.cert_file) != bool(self.key_file):
            yield "cert_file and key_file go together"
        if (self.key_password or self.key_password_file) and not self.key_file:
            yield "key_password_file opens key_file: name that, or remove the password"


def _join_servers(value: Any) -> Any:
    return ",".join(value) if isinstance(value, list) and all(isinstance(v, str) for v in value) else value


class KafkaSettings(Section):
    """Where the brokers are and how long to wait for them."""

    bootstrap_servers: Annotated[
        Servers, BeforeValidator(_join_servers, json_schema_input_type=Servers | list[Server])
    ] = Field(description="Brokers to ask first, as HOST:PORT: a list, or comma-separated.")
    security: SecuritySettings = Field(default=SecuritySettings(), description="TLS and login.")
    request_timeout_ms: int = Field(
        default=30_000, ge=1_000, description="Milliseconds that a broker has to answer a request."
    )
    delivery_timeout_ms: int = Field(
        default=120_000,
        ge=1_000,
        description="Milliseconds that `labelstream produce` waits for the last acknowledgements; a pipeline waits for"
        " as long as it takes.",
    )
    session_timeout_ms: int = Field(
        default=30_000, ge=1_000, description="Milliseconds without a heartbeat after which a worker leaves its group."
    )
    max_poll_interval_ms: int = Field(
        default=300_000, ge=5_000, description="Milliseconds without a poll after which a worker leaves its group."
    )
    transaction_timeout_ms: int = Field(
        default=30_000, ge=2_000, description="Milliseconds after which the broker ends what a dead worker left open."
    )
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        default="lz4", description="Compression of what is written."
    )
    node_labels: dict[Label, Label] = Field(
        default_factory=dict,
        description="Ray's labels of the nodes that workers run on, which alone need the brokers and their secrets;"
        " empty is all nodes.",
    )

    def problems(self) -> Iterator[str]:
        if self.delivery_timeout_ms < self.request_timeout_ms:
            yield (
                f"delivery_timeout_ms ({self.delivery_timeout_ms}) is below request_timeout_ms "
                f"({self.request_timeout_ms}): raise the one or lower the other"
            )
        if self.max_poll_interval_ms < self.session_timeout_ms:
            yield (
                f"max_poll_interval_ms ({self.max_poll_interval_ms}) is below session_timeout_ms "
                f"({self.session_timeout_ms}): raise the one or lower the other"
            )


class Range(Section):
    """How many there may be: as many as the backlog asks for between the two."""

    min: int = Field(default=1, ge=1, le=10_000, description="Number that there is at least.")
    max: int = Field(default=1, ge=1, le=10_000, description="Number that there is at most.")

    def problems(self) -> Iterator[str]:
        if self.max < self.min:
            yield f"max ({self.max}) is below min ({self.min})"


class RangeFromZero(Range):
    """As `Range`; with `min: 0` there is none when there is nothing to do."""

    min: int = Field(default=1, ge=0, le=10_000, description="Number that there is at least; 0 is none when idle.")


def _exactly(value: Any) -> Any:
    """`3` is `{min: 3, max: 3}`."""
    plain = isinstance(value, str) and value.strip().isdigit()  # from the environment
    return {"min": int(value), "max": int(value)} if plain or type(value) is int else value


_Count = Annotated[int, Field(ge=1, le=10_000)]
Workers = Annotated[Range, BeforeValidator(_exactly, json_schema_input_type=_Count | Range)]
Replicas = Annotated[RangeFromZero, BeforeValidator(_exactly, json_schema_input_type=_Count | RangeFromZero)]

_CLASSIFY, _ZERO_SHOT = TaskName.TEXT_CLASSIFICATION, TaskName.ZERO_SHOT
# What other tasks have no use for.
_KEYS_OF_TASKS = {
    "problem_type": (_CLASSIFY,),
    **dict.fromkeys(("candidate_labels", "hypothesis_template", "multi_label"), (_ZERO_SHOT,)),
    **dict.fromkeys(("threshold", "thresholds", "quantize"), (_CLASSIFY, _ZERO_SHOT)),
    **dict.fromkeys(("pooling", "normalize"), (TaskName.EMBEDDING,)),
    "top_k": (_CLASSIFY, _ZERO_SHOT, TaskName.FILL_MASK),
}


class ModelSettings(ModelOptions):
    """One model: one Serve deployment, one replica per device."""

    source: str = Field(
        min_length=1, description="The model: a directory, relative to the config file, or a hub id such as owner/name."
    )
    max_batch_tokens: int | None = Field(
        default=None,
        ge=16,
        description="Tokens of one forward, padding counted; null is 16384 on a GPU and 1024 on a CPU.",
    )
    max_delay_ms: float = Field(
        default=5.0, ge=0, le=10_000, description="Milliseconds that an idle replica waits for more calls."
    )
    num_gpus: float | Literal["auto"] = Field(
        default="auto", description="GPUs that Ray reserves for a replica; auto is 1 where the cluster has one."
    )
    num_cpus: float = Field(default=1.0, ge=0, description="CPU cores that Ray reserves for a replica.")
    threads: int | None = Field(
        default=None,
        ge=1,
        description="Threads that a replica computes with on a CPU; null is one for each usable core.",
    )
    replicas: Replicas = Field(
        default=RangeFromZero(), description="Number of replicas, or their range, which the backlog chooses from."
    )
    call_timeout_s: float = Field(
        default=120.0,
        gt=0,
        description="Seconds that a call is retried, besides the time that its tokens take, before the model counts as "
        "away.",
    )

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        for key, tasks in _KEYS_OF_TASKS.items():
            if self.task not in tasks and getattr(self, key) != type(self).model_fields[key].default:
                yield f"{key} has no effect with task {self.task}: remove it, or set another task"
        if len(set(self.candidate_labels)) < len(self.candidate_labels):
            yield "candidate_labels repeat: name each once"
        if self.long_text == "truncate" and (self.stride is not None or self.aggregate != "mean"):
            yield "stride and aggregate have no effect with long_text truncate: set it to windows"
        if self.quantize is None and (self.calibration_texts is not None or self.min_agreement != 0.99):
            yield "calibration_texts and min_agreement have no effect without quantize: set it to int8"


class LimitSettings(Section):
    """Caps on one message, and on a batch of Kafka's when it is decompressed; beyond them it is a dead letter."""

    max_message_bytes: int = Field(default=1_048_576, ge=64, description="Bytes of one message's value.")
    max_batch_bytes: int = Field(
        default=MAX_BATCH_BYTES, ge=1_048_576, description="Bytes of one record batch of Kafka's, decompressed."
    )
    max_in_flight_bytes: int = Field(
        default=MAX_IN_FLIGHT_BYTES,
        ge=1_048_576,
        description="Bytes that a worker holds between poll and acknowledgement; beyond them polls wait.",
    )
    max_candidate_labels: int = Field(
        default=100, ge=1, description="Number of candidate labels that one message may name."
    )
    max_label_chars: int = Field(default=256, ge=1, description="Characters of one candidate label.")
    max_label_text_chars: int = Field(
        default=1_000_000, ge=1, description="Characters of a message's text, once for each of its candidate labels."
    )
    max_tokens_per_message: int = Field(
        default=MAX_MESSAGE_TOKENS,
        ge=1,
        description="Tokens of all sequences that one message becomes, by its labels, masks or windows.",
    )

    def problems(self) -> Iterator[str]:
        if self.max_batch_bytes < self.max_message_bytes:
            yield (
                f"max_batch_bytes ({self.max_batch_bytes}) is below max_message_bytes "
                f"({self.max_message_bytes}): raise the one or lower the other"
            )
        if self.max_in_flight_bytes < self.max_batch_bytes:  # which one record may take
            yield (
                f"max_in_flight_bytes ({self.max_in_flight_bytes}) is below max_batch_bytes "
                f"({self.max_batch_bytes}): raise the one or lower the other"
            )


class BreakerSettings(Section):
    """When a pipeline pauses because its model fails messages, and when dead letters raise an alarm."""

    max_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of messages, 0 to 1, that the model may fail before the worker pauses, and of dead letters "
        "before the alarm; 1 is never.",
    )
    window_s: float = Field(default=60.0, gt=0, description="Seconds over which the share is taken.")
    min_messages: int = Field(default=100, ge=1, description="Number of messages below which there is no share.")
    probe_s: float = Field(
        default=60.0, gt=0, description="Seconds between the trials by which a paused worker finds its model repaired."
    )


class PipelineSettings(Section):
    """One way from an input topic through a model to an output topic."""

    input: Topic = Field(description="Topic that messages are read from.")
    output: Topic = Field(description="Topic that results are written to.")
    dead_letter: Topic = Field(description="Topic for messages that cannot be classified, with the reason.")
    review: Topic | None = Field(
        default=None, description="Topic for copies of the results that the model abstains from; null is none."
    )
    model: Name = Field(description="Model under `models` that classifies messages which name none.")
    models: tuple[Name, ...] = Field(default=(), description="Other models that messages may name.")
    group_id: str | None = Field(
        default=None, min_length=1, max_length=249, description="Consumer group; null is labelstream-NAME."
    )
    start_from: Literal["earliest", "latest"] = Field(
        default="earliest", description="Where a group starts that has no offset in the whole input."
    )
    on_offset_out_of_range: Literal["fail", "earliest", "latest"] = Field(
        default="fail",
        description="What to do where messages were deleted before they were read: stop, or go on there.",
    )
    delivery: Literal["at_least_once", "exactly_once"] = Field(
        default="at_least_once", description="Whether results may repeat after a crash, or are written in transactions."
    )
    transaction_interval_ms: int = Field(
        default=1_000, ge=10, description="Milliseconds after which a transaction of exactly_once is committed."
    )
    transaction_max_messages: int = Field(
        default=20_000, ge=1, description="Number of messages after which a transaction of exactly_once is committed."
    )
    workers: Workers = Field(
        default=Range(), description="Number of consumers, or their range, which the backlog chooses from."
    )
    target_drain_s: float = Field(default=120.0, ge=1, description="Seconds within which a backlog is to be gone.")
    max_lag_s: float = Field(default=30.0, ge=1, description="Seconds that a message may wait to be classified.")
    format: Literal["json", "text"] = Field(
        default="json", description="What messages are: JSON objects, or plain text in UTF-8."
    )
    text_field: str | None = Field(
        default=None,
        min_length=1,
        description="Path of the text in any JSON object, for example event.message; null is a message of ours.",
    )
    output_partition: Literal["key", "same"] = Field(
        default="key", description="Partition of a result: by its key, or the number that its input has."
    )
    output_timestamp: Literal["input", "now"] = Field(
        default="input", description="Timestamp of a result: that of its input, or the time of sending."
    )
    headers: Literal["pass", "cloudevents"] = Field(
        default="pass", description="Headers of a result: those of its input, with or without those of CloudEvents."
    )
    on_empty_text: Literal["dead_letter", "skip"] = Field(
        default="dead_letter", description="What becomes of a text that is blank or null."
    )
    on_tombstone: Literal["skip", "dead_letter"] = Field(
        default="skip", description="What becomes of a record without a value."
    )
    limits: LimitSettings = Field(default=LimitSettings(), description="What is too large.")
    max_poll_records: int = Field(
        default=2_048, ge=1, le=10_000, description="Number of messages in a micro-batch at most."
    )
    max_in_flight: Annotated[int, Field(ge=1, le=1_000)] | Literal["auto"] = Field(
        default="auto",
        description="Number of micro-batches in flight per worker; auto is 4 to 64, as many as keep the replicas busy.",
    )
    commit_interval_ms: int = Field(
        default=1_000, ge=10, description="Milliseconds between the commits of at_least_once."
    )
    drain_timeout_s: float = Field(
        default=30.0, gt=0, description="Seconds that a worker may finish what it holds before it stops."
    )
    rebalance_drain_s: float = Field(
        default=10.0,
        ge=0,
        description="Seconds that a worker may finish what it holds of a partition that is taken away.",
    )
    stall_timeout_s: float = Field(
        default=300.0,
        gt=0,
        description="Seconds without any answer after which a worker is replaced; 2.5 `call_timeout_s` at least.",
    )
    breaker: BreakerSettings = Field(
        default=BreakerSettings(), description="When a pipeline pauses because its model fails messages."
    )

    def problems(self) -> Iterator[str]:
        if self.format == "text" and self.text_field:
            yield "text_field reads a field of JSON: remove it, or set format to json"
        if self.dead_letter == self.input:
            yield "dead_letter is the input topic, so every dead letter would come back: name another topic"
        if self.output == self.input:
            yield "output is the input topic, so every result would be classified again: name another topic"
        if self.output == self.dead_letter:
            yield "dead_letter is the output topic, whose readers expect results: name another topic"
        if self.review in (self.input, self.output, self.dead_letter):
            yield "review is one of the pipeline's other topics: name another one, or remove it"

    @property
    def allowed_models(self) -> tuple[str, ...]:
        """The models that this pipeline's messages may name; the first is the default."""
        return (self.model, *(name for name in self.models if name != self.model))

    @property
    def most_in_flight(self) -> int:
        """Micro-batches that a worker may ever have in flight."""
        return MAX_IN_FLIGHT if self.max_in_flight == "auto" else self.max_in_flight


class LogSettings(Section):
    """What workers, models and the control plane say, on stderr."""

    format: Literal["text", "json"] = Field(default="text", description="Whether a log line is text or a JSON object.")
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Below which level log lines are left out."
    )


class TracingSettings(Section):
    """Where spans go."""

    endpoint: str | None = Field(
        default=None,
        pattern=_URL,
        description="URL that spans go to, by OTLP over HTTP; null is no spans. Its headers come from the environment, "
        "OTEL_EXPORTER_OTLP_HEADERS.",
    )
    sample: float = Field(default=0.01, ge=0, le=1, description="Share of the micro-batches, 0 to 1, that get spans.")

    @field_validator("endpoint")
    @classmethod
    def _without_login(cls, endpoint: str | None) -> str | None:
        # It goes into the actors' arguments and into the RayService, where others read it.
        if endpoint is not None and "@" in urlsplit(endpoint).netloc:
            raise ValueError("holds a login; give it in the environment, as OTEL_EXPORTER_OTLP_HEADERS")
        return endpoint


class Telemetry(Section):
    """What every process of the application is told of how to show itself."""

    logs: LogSettings = Field(default=LogSettings(), description="Log lines.")
    tracing: TracingSettings = Field(default=TracingSettings(), description="Spans.")


class _Environment(EnvSettingsSource):
    """A wrong JSON value in a variable is reported like any other wrong value, by its key."""

    def decode_complex_value(self, field_name: str, field: Any, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


class Settings(BaseSettings):
    """The whole system. Load it with `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid", validate_default=True
    )

    kafka: KafkaSettings = Field(description="The brokers.")
    models: dict[Name, ModelSettings] = Field(min_length=1, description="The models by name, one at least.")
    pipelines: dict[Name, PipelineSettings] = Field(min_length=1, description="The pipelines by name, one at least.")
    logs: LogSettings = Field(default=LogSettings(), description="Log lines.")
    tracing: TracingSettings = Field(default=TracingSettings(), description="Spans.")

    @property
    def telemetry(self) -> Telemetry:
        return Telemetry(logs=self.logs, tracing=self.tracing)

    @model_validator(mode="wrap")
    @classmethod
    def _whole(cls, tree: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """A wrong value in one section hides nothing that is wrong between the others."""
        try:
            settings = validate(tree)
        except ValidationError as error:
            raise with_more(error, _problems_between_valid_parts(tree)) from None
        refuse(_problems_between(settings.kafka, settings.models, settings.pipelines))
        return settings

    @classmethod
    def environment(cls) -> dict[str, Any]:
        """What the environment says, by section."""
        return _Environment(cls)()

    def group_id(self, pipeline: str) -> str:
        """The consumer group of a pipeline: as set, or made from its name."""
        return _group_id(pipeline, self.pipelines[pipeline])

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (_Environment(settings_cls), init_settings)


def _group_id(name: str, pipeline: PipelineSettings) -> str:
    return pipeline.group_id or f"labelstream-{name}"


def _problems_between(
    kafka: KafkaSettings | None, models: Collection[str], pipelines: Mapping[str, PipelineSettings]
) -> Iterator[str]:
    """Each begins with its key."""
    groups: dict[str, str] = {}
    for name, pipeline in pipelines.items():
        yield from _unknown_models(name, pipeline.allowed_models, models)
        if kafka is not None:
            yield from _problems_of_times(kafka, name, pipeline)
        group = _group_id(name, pipeline)
        if group in groups:
            yield f"pipelines: {groups[group]} and {name} share the group_id {group!r}: give each its own"
        groups.setdefault(group, name)


def _problems_between_valid_parts(tree: Any) -> Iterator[str]:
    """The same, as far as it can be told of a tree in which something is wrong."""
    models, pipelines = tree.get("models"), tree.get("pipelines")
    if not isinstance(models, dict) or not isinstance(pipelines, dict):
        return
    valid: dict[str, PipelineSettings] = {}
    for name, part in pipelines.items():
        if isinstance(found := _valid(PipelineSettings, part), PipelineSettings):
            valid[name] = found
        elif isinstance(part, dict) and isinstance(part.get("model"), str):
            yield from _unknown_models(name, [part["model"]], models)
    yield from _problems_between(_valid(KafkaSettings, tree.get("kafka")), models, valid)


def _valid(kind: type[S], part: Any) -> S | None:
    try:
        return kind.model_validate(part)
    except ValidationError:
        return None


def _unknown_models(pipeline: str, named: Collection[str], known: Collection[str]) -> Iterator[str]:
    for model in named:
        if model not in known:
            yield (
                f"pipelines.{pipeline}.model: there is no model {model!r} under models "
                f"(known: {', '.join(sorted(map(str, known)))})"
            )


def _problems_of_times(kafka: KafkaSettings, name: str, pipeline: PipelineSettings) -> Iterator[str]:
    if 4 * pipeline.transaction_interval_ms > kafka.transaction_timeout_ms:
        yield (
            f"pipelines.{name}.transaction_interval_ms: {pipeline.transaction_interval_ms} is more "
            f"than a quarter of kafka.transaction_timeout_ms ({kafka.transaction_timeout_ms}), "
            "after which the broker ends a transaction: lower the one or raise the other"
        )
    if 2_000 * pipeline.rebalance_drain_s > kafka.max_poll_interval_ms:
        yield (
            f"pipelines.{name}.rebalance_drain_s: {pipeline.rebalance_drain_s:g} s is more than half "
            f"of kafka.max_poll_interval_ms ({kafka.max_poll_interval_ms}), after which the "
            "group counts a worker out: lower the one or raise the other"
        )
