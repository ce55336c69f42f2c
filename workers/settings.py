"""One frozen, validated tree of settings from one YAML file, every key overridable from the environment.

`LABELSTREAM_<PATH>` with `__` between the levels overrides the file: `LABELSTREAM_KAFKA__BOOTSTRAP_SERVERS`,
`LABELSTREAM_MODELS__SENTIMENT__MAX_BATCH_TOKENS`. `config_file` reads both. Secrets come from
the environment or from files, never from the YAML file itself.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from labelstream.workers.classifier import MAX_MESSAGE_TOKENS
from labelstream.workers.engine.description import TaskName
from labelstream.workers.engine.options import ModelOptions

ENV_PREFIX = "LABELSTREAM_"
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9_-]{0,48}[a-z0-9])?$")]
MAX_IN_FLIGHT = 64  # of `max_in_flight: auto`
MAX_BATCH_BYTES, MAX_IN_FLIGHT_BYTES = 64 * 1024 * 1024, 128 * 1024 * 1024
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9./_-]{0,315}[A-Za-z0-9])?$")]
Topic = Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{1,249}$")]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class SecuritySettings(Section):
    """How to reach the brokers. Secrets: by environment, or `*_file`."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    username: str | None = None
    password: SecretStr | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    key_password: SecretStr | None = None
    key_password_file: Path | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        sasl = self.protocol.startswith("SASL")
        if sasl and not (self.sasl_mechanism and self.username and (self.password or self.password_file)):
            raise ValueError(
                f"{self.protocol} needs sasl_mechanism, username, and password_file or a password "
                f"in the environment ({ENV_PREFIX}KAFKA__SECURITY__PASSWORD)"
            )
        if not sasl and (self.sasl_mechanism or self.username or self.password or self.password_file):
            raise ValueError(f"SASL settings have no effect with protocol {self.protocol}: set protocol to SASL_SSL")
        if "SSL" not in self.protocol and (self.ca_file or self.cert_file or self.key_file):
            raise ValueError(f"TLS files have no effect with protocol {self.protocol}: set protocol to SSL or SASL_SSL")
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file go together")
        if (self.key_password or self.key_password_file) and not self.key_file:
            raise ValueError("key_password_file opens key_file: name that, or remove the password")
        return self


def _join_servers(value: Any) -> Any:
    return ",".join(value) if isinstance(value, list) and all(isinstance(v, str) for v in value) else value


class KafkaSettings(Section):
    """Where the brokers are and how long to wait for them. `delivery_timeout_ms` is of commands, not of pipelines.

    `node_labels`: Ray's labels of the nodes that hold the secrets and reach the brokers; empty: all of them.
    """

    bootstrap_servers: Annotated[
        str, BeforeValidator(_join_servers), Field(pattern=r"^[^,\s]+:\d{1,5}(,[^,\s]+:\d{1,5})*$")
    ]
    security: SecuritySettings = SecuritySettings()
    request_timeout_ms: int = Field(default=30_000, ge=1_000)
    delivery_timeout_ms: int = Field(default=120_000, ge=1_000)
    session_timeout_ms: int = Field(default=30_000, ge=1_000)
    max_poll_interval_ms: int = Field(default=300_000, ge=5_000)
    transaction_timeout_ms: int = Field(default=30_000, ge=2_000)
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "lz4"
    node_labels: dict[Label, Label] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.delivery_timeout_ms < self.request_timeout_ms:
            raise ValueError(
                f"delivery_timeout_ms ({self.delivery_timeout_ms}) is below request_timeout_ms "
                f"({self.request_timeout_ms}): raise the one or lower the other"
            )
        if self.max_poll_interval_ms < self.session_timeout_ms:
            raise ValueError(
                f"max_poll_interval_ms ({self.max_poll_interval_ms}) is below session_timeout_ms "
                f"({self.session_timeout_ms}): raise the one or lower the other"
            )
        return self


class Range(Section):
    """How many there may be: as many as the backlog asks for between the two (deploy/scaling)."""

    min: int = Field(default=1, ge=1, le=10_000)
    max: int = Field(default=1, ge=1, le=10_000)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max < self.min:
            raise ValueError(f"max ({self.max}) is below min ({self.min})")
        return self


class RangeFromZero(Range):
    """As `Range`; with `min: 0` there is none when there is nothing to do."""

    min: int = Field(default=1, ge=0, le=10_000)


def _exactly(value: Any) -> Any:
    """`3` is `{min: 3, max: 3}`."""
    plain = isinstance(value, str) and value.strip().isdigit()  # from the environment
    return {"min": int(value), "max": int(value)} if plain or type(value) is int else value


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

    source: str = Field(min_length=1)
    max_batch_tokens: int | None = Field(default=None, ge=16)
    max_delay_ms: float = Field(default=5.0, ge=0, le=10_000)
    num_gpus: float | Literal["auto"] = "auto"
    num_cpus: float = Field(default=1.0, ge=0)
    threads: int | None = Field(default=None, ge=1)
    replicas: Annotated[RangeFromZero, BeforeValidator(_exactly)] = RangeFromZero()
    call_timeout_s: float = Field(default=120.0, gt=0)

    @model_validator(mode="after")
    def _of_use(self) -> Self:
        for key, tasks in _KEYS_OF_TASKS.items():
            if self.task not in tasks and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"{key} has no effect with task {self.task}: remove it, or set another task")
        if len(set(self.candidate_labels)) < len(self.candidate_labels):
            raise ValueError("candidate_labels repeat: name each once")
        if self.long_text == "truncate" and (self.stride is not None or self.aggregate != "mean"):
            raise ValueError("stride and aggregate have no effect with long_text truncate: set it to windows")
        if self.quantize is None and (self.calibration_texts is not None or self.min_agreement != 0.99):
            raise ValueError("calibration_texts and min_agreement have no effect without quantize: set it to int8")
        return self


class LimitSettings(Section):
    """Caps on one message, and on a batch of Kafka's when it is decompressed; beyond them it is a dead letter.

    `max_in_flight_bytes` is one on a worker: beyond it polls wait.
    """

    max_message_bytes: int = Field(default=1_048_576, ge=64)
    max_batch_bytes: int = Field(default=MAX_BATCH_BYTES, ge=1_048_576)
    max_in_flight_bytes: int = Field(default=MAX_IN_FLIGHT_BYTES, ge=1_048_576)
    max_candidate_labels: int = Field(default=100, ge=1)
    max_label_chars: int = Field(default=256, ge=1)
    max_label_text_chars: int = Field(default=1_000_000, ge=1)
    max_tokens_per_message: int = Field(default=MAX_MESSAGE_TOKENS, ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max_batch_bytes < self.max_message_bytes:
            raise ValueError(
                f"max_batch_bytes ({self.max_batch_bytes}) is below max_message_bytes "
                f"({self.max_message_bytes}): raise the one or lower the other"
            )
        if self.max_in_flight_bytes < self.max_batch_bytes:  # which one record may take
            raise ValueError(
                f"max_in_flight_bytes ({self.max_in_flight_bytes}) is below max_batch_bytes "
                f"({self.max_batch_bytes}): raise the one or lower the other"
            )
        return self


class BreakerSettings(Section):
    """When a pipeline pauses because its model fails messages, and when dead letters raise an alarm; 1 is never."""

    max_share: float = Field(default=0.5, ge=0, le=1)
    window_s: float = Field(default=60.0, gt=0)
    min_messages: int = Field(default=100, ge=1)
    probe_s: float = Field(default=60.0, gt=0)


class PipelineSettings(Section):
    """One way from an input topic through a model to an output topic."""

    input: Topic
    output: Topic
    dead_letter: Topic
    review: Topic | None = None
    model: Name
    models: tuple[Name, ...] = ()
    group_id: str | None = Field(None, min_length=1, max_length=249)
    start_from: Literal["earliest", "latest"] = "earliest"
    on_offset_out_of_range: Literal["fail", "earliest", "latest"] = "fail"
    delivery: Literal["at_least_once", "exactly_once"] = "at_least_once"
    transaction_interval_ms: int = Field(default=1_000, ge=10)
    transaction_max_messages: int = Field(default=20_000, ge=1)
    workers: Annotated[Range, BeforeValidator(_exactly)] = Range()
    target_drain_s: float = Field(default=120.0, ge=1)
    max_lag_s: float = Field(default=30.0, ge=1)
    format: Literal["json", "text"] = "json"
    text_field: str | None = Field(None, min_length=1)
    output_partition: Literal["key", "same"] = "key"
    output_timestamp: Literal["input", "now"] = "input"
    headers: Literal["pass", "cloudevents"] = "pass"
    on_empty_text: Literal["dead_letter", "skip"] = "dead_letter"
    on_tombstone: Literal["skip", "dead_letter"] = "skip"
    limits: LimitSettings = LimitSettings()
    max_poll_records: int = Field(default=2_048, ge=1, le=10_000)
    max_in_flight: Annotated[int, Field(ge=1, le=1_000)] | Literal["auto"] = "auto"
    commit_interval_ms: int = Field(default=1_000, ge=10)
    drain_timeout_s: float = Field(default=30.0, gt=0)
    rebalance_drain_s: float = Field(default=10.0, ge=0)
    stall_timeout_s: float = Field(default=300.0, gt=0)
    breaker: BreakerSettings = BreakerSettings()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.format == "text" and self.text_field:
            raise ValueError("text_field reads a field of JSON: remove it, or set format to json")
        if self.dead_letter == self.input:
            raise ValueError("dead_letter is the input topic, so every dead letter would come back: name another topic")
        if self.output == self.input:
            raise ValueError("output is the input topic, so every result would be classified again: name another topic")
        if self.output == self.dead_letter:
            raise ValueError("dead_letter is the output topic, whose readers expect results: name another topic")
        if self.review in (self.input, self.output, self.dead_letter):
            raise ValueError("review is one of the pipeline's other topics: name another one, or remove it")
        return self

    @property
    def allowed_models(self) -> tuple[str, ...]:
        """The models that this pipeline's messages may name; the first is the default."""
        return (self.model, *(name for name in self.models if name != self.model))

    @property
    def most_in_flight(self) -> int:
        """Micro-batches that a worker may ever have in flight."""
        return MAX_IN_FLIGHT if self.max_in_flight == "auto" else self.max_in_flight


class LogSettings(Section):
    """What workers, models and the control plane say, on stderr; `json`: an object in each line."""

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


class TracingSettings(Section):
    """Where spans go, by OTLP over HTTP; without an endpoint there are none. `sample`: share of micro-batches."""

    endpoint: str | None = Field(default=None, pattern=r"^https?://\S+$")
    sample: float = Field(default=0.01, ge=0, le=1)

    @field_validator("endpoint")
    @classmethod
    def _without_login(cls, endpoint: str | None) -> str | None:
        # It goes into the actors' arguments and into the RayService, where others read it.
        if endpoint is not None and "@" in urlsplit(endpoint).netloc:
            raise ValueError("holds a login; give it in the environment, as OTEL_EXPORTER_OTLP_HEADERS")
        return endpoint


class Telemetry(Section):
    """What every process of the application is told of how to show itself."""

    logs: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()


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

    kafka: KafkaSettings
    models: dict[Name, ModelSettings] = Field(min_length=1)
    pipelines: dict[Name, PipelineSettings] = Field(min_length=1)
    logs: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()

    @property
    def telemetry(self) -> Telemetry:
        return Telemetry(logs=self.logs, tracing=self.tracing)

    @model_validator(mode="after")
    def _references(self) -> Self:
        for name, pipeline in self.pipelines.items():
            for model in pipeline.allowed_models:
                if model not in self.models:
                    raise ValueError(
                        f"pipelines.{name}.model: there is no model {model!r} under models "
                        f"(known: {', '.join(sorted(self.models))})"
                    )
            self._check_times(name, pipeline)
        groups = [self.group_id(name) for name in self.pipelines]
        for group in groups:
            if groups.count(group) > 1:
                raise ValueError(f"pipelines: two pipelines share the group_id {group!r}: give each its own")
        return self

    def _check_times(self, name: str, pipeline: PipelineSettings) -> None:
        if 4 * pipeline.transaction_interval_ms > self.kafka.transaction_timeout_ms:
            raise ValueError(
                f"pipelines.{name}.transaction_interval_ms: {pipeline.transaction_interval_ms} is more "
                f"than a quarter of kafka.transaction_timeout_ms ({self.kafka.transaction_timeout_ms}), "
                "after which the broker ends a transaction: lower the one or raise the other"
            )
        if 2_000 * pipeline.rebalance_drain_s > self.kafka.max_poll_interval_ms:
            raise ValueError(
                f"pipelines.{name}.rebalance_drain_s: {pipeline.rebalance_drain_s:g} s is more than half "
                f"of kafka.max_poll_interval_ms ({self.kafka.max_poll_interval_ms}), after which the "
                "group counts a worker out: lower the one or raise the other"
            )

    @classmethod
    def environment(cls) -> dict[str, Any]:
        """What the environment says, by section."""
        return _Environment(cls)()

    def group_id(self, pipeline: str) -> str:
        """The consumer group of a pipeline: as set, or made from its name."""
        return self.pipelines[pipeline].group_id or f"labelstream-{pipeline}"

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
