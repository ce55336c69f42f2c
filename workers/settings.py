"""The settings: one frozen, validated tree from one YAML file. The environment overrides every key.

`LABELSTREAM_<PATH>`, with `__` between the levels, overrides the file: `LABELSTREAM_KAFKA__BOOTSTRAP_SERVERS`,
`LABELSTREAM_MODELS__SENTIMENT__MAX_BATCH_TOKENS`. `config_file` reads both. Secrets come from the environment or from
files of their own, never from the YAML file.
"""

from collections.abc import Collection, Iterator, Mapping
from ipaddress import ip_address
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
from labelstream.workers.errors import ConfigError
from labelstream.workers.records.conditions import Conditions, condition_problems
from labelstream.workers.records.fields import FieldSettings
from labelstream.workers.records.inputs import TOPIC_FORM, TOPIC_WORDS, Input, InputTopics, Topic, input_problems
from labelstream.workers.records.places import PathName
from labelstream.workers.records.routes import RouteRule, route_problems
from labelstream.workers.records.shape import ENRICH_FIELD, FIELD_FORM, EnrichField, chain_problems, shape_problems
from labelstream.workers.section import Section, refuse, with_more

S = TypeVar("S", bound=Section)
ENV_PREFIX = "LABELSTREAM_"
MAX_IN_FLIGHT = 64  # upper bound of `max_in_flight: auto`
MAX_BATCH_BYTES, MAX_IN_FLIGHT_BYTES = 64 * 1024 * 1024, 128 * 1024 * 1024
_SERVER = r"[^,\s]+:\d{1,5}"
_NAME, _LABEL = r"^[a-z0-9]([a-z0-9_-]{0,48}[a-z0-9])?$", r"^[A-Za-z0-9]([A-Za-z0-9./_-]{0,315}[A-Za-z0-9])?$"
_URL, _HOST = r"^https?://\S+$", r"^(\*\.)?[A-Za-z0-9._:-]+$"
_ORIGIN = r"^https?://[^/\s*]+$"
Name = Annotated[str, Field(pattern=_NAME)]
Label = Annotated[str, Field(pattern=_LABEL)]
Servers = Annotated[str, Field(pattern=rf"^{_SERVER}(,{_SERVER})*$")]
Server = Annotated[str, Field(pattern=rf"^{_SERVER}$")]
HostName = Annotated[str, Field(pattern=_HOST)]
Origin = Annotated[str, Field(pattern=_ORIGIN)]
# Each pattern in words, for errors.
FORMS = {
    _NAME: "must be of lower-case letters, digits, - and _, with a letter or digit at both ends, 50 at most",
    _LABEL: "must be of letters, digits, ., /, _ and -, with a letter or digit at both ends, 317 at most",
    TOPIC_FORM: TOPIC_WORDS,
    rf"^{_SERVER}(,{_SERVER})*$": "must be HOST:PORT, several joined by commas",
    rf"^{_SERVER}$": "must be HOST:PORT",
    FIELD_FORM: "must be a name of 1 to 249 characters without quotes, slashes and control characters",
    _URL: "must be a URL that begins with http:// or https://",
    _HOST: "must be a host name or an address without a port, or *.DOMAIN",
    _ORIGIN: "must be an origin: http:// or https://, a host name, and a port if the URL has one",
    r"\S": "must not be blank",
}
# The config file's schema allows null only: `load_settings` refuses a secret in the file.
Secret = Annotated[SecretStr | None, WithJsonSchema({"type": "null"})]


class SecuritySettings(Section):
    """TLS and login of the Kafka clients. Secrets come from the environment or from a `*_file`."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT",
        description="Protocol of the brokers' listener: SSL is TLS, SASL a login with user and password.",
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        default=None, description="SASL mechanism of the login; required with a SASL protocol."
    )
    username: str | None = Field(default=None, description="User name of the login; required with a SASL protocol.")
    password: Secret = Field(
        default=None,
        description=f"Password of the login; from the environment only: {ENV_PREFIX}KAFKA__SECURITY__PASSWORD.",
    )
    password_file: Path | None = Field(default=None, description="File that holds the login's password.")
    ca_file: Path | None = Field(
        default=None, description="PEM file with the CAs of the brokers' certificates; null uses the system's CAs."
    )
    cert_file: Path | None = Field(
        default=None, description="PEM file with the client's certificate, for brokers that require one."
    )
    key_file: Path | None = Field(default=None, description="PEM file with the private key of `cert_file`.")
    key_password: Secret = Field(
        default=None,
        description="Password of an encrypted `key_file`; read from the environment only: "
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
            yield "cert_file and key_file need each other: set both, or remove both"
        if (self.key_password or self.key_password_file) and not self.key_file:
            yield "a key password has no effect without key_file: set key_file, or remove the password"


def _join_servers(value: Any) -> Any:
    return ",".join(value) if isinstance(value, list) and all(isinstance(v, str) for v in value) else value


class KafkaSettings(Section):
    """The Kafka brokers, and the timeouts of all Kafka clients."""

    bootstrap_servers: Annotated[
        Servers, BeforeValidator(_join_servers, json_schema_input_type=Servers | list[Server])
    ] = Field(description="Kafka brokers to connect to first, as HOST:PORT: a list, or joined by commas.")
    security: SecuritySettings = Field(default=SecuritySettings(), description="TLS and login of the Kafka clients.")
    request_timeout_ms: int = Field(
        default=30_000,
        ge=1_000,
        description="Milliseconds to wait for a broker's response; raise it for slow networks.",
    )
    delivery_timeout_ms: int = Field(
        default=120_000,
        ge=1_000,
        description="Milliseconds that `labelstream produce` waits for the last acknowledgements; pipelines wait"
        " without a limit.",
    )
    session_timeout_ms: int = Field(
        default=30_000, ge=1_000, description="Milliseconds without a heartbeat after which the group removes a worker."
    )
    max_poll_interval_ms: int = Field(
        default=300_000, ge=5_000, description="Milliseconds without a poll after which the group removes a worker."
    )
    transaction_timeout_ms: int = Field(
        default=30_000,
        ge=2_000,
        description="Milliseconds after which the broker aborts an open transaction, for example of a dead worker; at"
        " least four times transaction_interval_ms.",
    )
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        default="lz4", description="Compression of written records; lz4 takes the least CPU, zstd and gzip less disk."
    )
    node_labels: dict[Label, Label] = Field(
        default_factory=dict,
        description="Ray node labels that restrict workers to some nodes; only those nodes then need the brokers and"
        " their secrets; empty means all nodes.",
    )

    def problems(self) -> Iterator[str]:
        if self.delivery_timeout_ms < self.request_timeout_ms:
            yield (
                f"delivery_timeout_ms ({self.delivery_timeout_ms}) is below request_timeout_ms "
                f"({self.request_timeout_ms}): raise the first or lower the second"
            )
        if self.max_poll_interval_ms < self.session_timeout_ms:
            yield (
                f"max_poll_interval_ms ({self.max_poll_interval_ms}) is below session_timeout_ms "
                f"({self.session_timeout_ms}): raise the first or lower the second"
            )


class Range(Section):
    """Bounds of a number that the autoscaling chooses by the backlog."""

    min: int = Field(default=1, ge=1, le=10_000, description="Lower bound of the number.")
    max: int = Field(default=1, ge=1, le=10_000, description="Upper bound of the number.")

    def problems(self) -> Iterator[str]:
        if self.max < self.min:
            yield f"max ({self.max}) is below min ({self.min})"


class RangeFromZero(Range):
    """As `Range`; `min: 0` allows none while there are no messages."""

    min: int = Field(
        default=1, ge=0, le=10_000, description="Lower bound of the number; 0 allows none while there are no messages."
    )


def _exactly(value: Any) -> Any:
    """`3` is `{min: 3, max: 3}`."""
    plain = isinstance(value, str) and value.strip().isdigit()  # from the environment
    return {"min": int(value), "max": int(value)} if plain or type(value) is int else value


_Count = Annotated[int, Field(ge=1, le=10_000)]
Workers = Annotated[Range, BeforeValidator(_exactly, json_schema_input_type=_Count | Range)]
Replicas = Annotated[RangeFromZero, BeforeValidator(_exactly, json_schema_input_type=_Count | RangeFromZero)]

_CLASSIFY, _ZERO_SHOT = TaskName.TEXT_CLASSIFICATION, TaskName.ZERO_SHOT
# Keys with the tasks that use them; other tasks refuse them.
_KEYS_OF_TASKS = {
    **dict.fromkeys(("problem_type", "label_names"), (_CLASSIFY,)),
    **dict.fromkeys(("candidate_labels", "hypothesis_template", "multi_label"), (_ZERO_SHOT,)),
    **dict.fromkeys(("threshold", "thresholds", "temperature", "quantize", "scores_order"), (_CLASSIFY, _ZERO_SHOT)),
    **dict.fromkeys(("pooling", "normalize"), (TaskName.EMBEDDING,)),
    "top_k": (_CLASSIFY, _ZERO_SHOT, TaskName.FILL_MASK),
}


class ModelSettings(ModelOptions):
    """One model: a Serve deployment whose replicas have one device each."""

    source: str = Field(
        min_length=1, description="Directory of the model, relative to the config file, or a hub id such as owner/name."
    )
    max_batch_tokens: int | None = Field(
        default=None,
        ge=16,
        description="Tokens per forward at most, padding included; null means 16384 on a GPU and 1024 on a CPU; lower"
        " it if memory runs out.",
    )
    max_delay_ms: float = Field(
        default=5.0, ge=0, le=10_000, description="Milliseconds that an idle replica waits for more calls to batch."
    )
    num_gpus: float | Literal["auto"] = Field(
        default="auto",
        description="GPUs that Ray reserves per replica; auto means 1 if the cluster has a GPU, else 0; fractions share"
        " a GPU.",
    )
    num_cpus: float = Field(
        default=1.0, ge=0, description="CPU cores that Ray reserves per replica; Ray places replicas by this number."
    )
    threads: int | None = Field(
        default=None, ge=1, description="Threads of a replica on a CPU; null means one per usable core."
    )
    replicas: Replicas = Field(
        default=RangeFromZero(), description="Number of replicas, or a range in which the backlog decides."
    )
    call_timeout_s: float = Field(
        default=120.0,
        gt=0,
        description="Seconds that a worker retries a call, in addition to its computing time, before the model counts"
        " as unavailable.",
    )

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        for key, tasks in _KEYS_OF_TASKS.items():
            if self.task not in tasks and getattr(self, key) != type(self).model_fields[key].default:
                yield f"{key} has no effect with task {self.task}: remove {key}, or set another task"
        if len(set(self.candidate_labels)) < len(self.candidate_labels):
            yield "candidate_labels repeat: name each label once"
        if self.long_text == "truncate" and (self.stride is not None or self.aggregate != "mean"):
            yield "stride and aggregate have no effect with long_text truncate: set long_text to windows"
        if self.quantize is None and (self.calibration_texts is not None or self.min_agreement != 0.99):
            yield "calibration_texts and min_agreement have no effect without quantize: set quantize to int8"


class LimitSettings(Section):
    """Upper bounds of one message and of one decompressed record batch. A larger one becomes a dead letter."""

    max_message_bytes: int = Field(
        default=1_048_576,
        ge=64,
        description="Bytes of a message's value at most; the default is Kafka's own limit of a record batch.",
    )
    max_batch_bytes: int = Field(
        default=MAX_BATCH_BYTES,
        ge=1_048_576,
        description="Bytes of a decompressed record batch at most: the bound against decompression bombs.",
    )
    max_in_flight_bytes: int = Field(
        default=MAX_IN_FLIGHT_BYTES,
        ge=1_048_576,
        description="Bytes that a worker holds between poll and acknowledgement at most; polls wait above it. Bounds a"
        " worker's memory.",
    )
    max_texts: int = Field(
        default=1_000,
        ge=1,
        description="Number of texts of a message at most, where fields.text names a list of texts.",
    )
    max_candidate_labels: int = Field(default=100, ge=1, description="Number of candidate labels of a message at most.")
    max_label_chars: int = Field(default=256, ge=1, description="Characters of a candidate label at most.")
    max_label_text_chars: int = Field(
        default=1_000_000,
        ge=1,
        description="Characters of all texts of a message times its number of candidate labels, at most.",
    )
    max_tokens_per_message: int = Field(
        default=MAX_MESSAGE_TOKENS,
        ge=1,
        description="Tokens of all sequences of one text at most: one sequence per candidate label, mask or window.",
    )

    def problems(self) -> Iterator[str]:
        if self.max_batch_bytes < self.max_message_bytes:
            yield (
                f"max_batch_bytes ({self.max_batch_bytes}) is below max_message_bytes "
                f"({self.max_message_bytes}): raise the first or lower the second"
            )
        if self.max_in_flight_bytes < self.max_batch_bytes:  # one record may fill a record batch
            yield (
                f"max_in_flight_bytes ({self.max_in_flight_bytes}) is below max_batch_bytes "
                f"({self.max_batch_bytes}): raise the first or lower the second"
            )


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


class HttpSettings(Section):
    """The HTTP gateway: answers HTTP requests with all models of the config."""

    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address that HTTP listens on; 0.0.0.0 is every address of each node, and needs a token.",
    )
    port: int = Field(default=8_000, ge=1, le=65_535, description="Port that HTTP listens on.")
    replicas: Workers = Field(
        default=Range(), description="Number of gateway replicas, or a range in which the ongoing requests decide."
    )
    max_ongoing_requests: int = Field(
        default=256,
        ge=1,
        le=10_000,
        description="Number of requests that a gateway replica handles at once; it refuses further ones with 429.",
    )
    token: Secret = Field(
        default=None,
        description=f"Token of all requests but health checks; from the environment only: {ENV_PREFIX}HTTP__TOKEN.",
    )
    token_file: Path | None = Field(
        default=None, description="File that holds the token; clients send `Authorization: Bearer TOKEN`."
    )
    cert_file: Path | None = Field(
        default=None, description="PEM file with the certificate for HTTPS, on each node; null serves plain HTTP."
    )
    key_file: Path | None = Field(default=None, description="PEM file with the private key of `cert_file`.")
    default_model: Name | None = Field(
        default=None,
        description="Model of requests that name none, if it does their task; else the first model that does.",
    )
    max_request_bytes: int = Field(
        default=4_194_304, ge=1_024, description="Bytes of a request's body at most, unpacked; a larger one is 413."
    )
    max_texts: int = Field(default=1_024, ge=1, description="Number of texts of a request at most; more are 413.")
    timeout_s: float = Field(
        default=60.0,
        gt=0,
        description="Seconds that a request may take; 408 if its body, 504 if its answer, 503 if a replica takes"
        " longer.",
    )
    allowed_hosts: tuple[HostName, ...] = Field(
        default=(),
        description="Values of the header Host, without the port, that requests may have; `*.DOMAIN` is all names of a"
        " domain. Empty means any with a token, and without a token loopback's names only.",
    )
    cors_origins: tuple[Origin, ...] = Field(
        default=(), description="Origins of web pages, such as https://example.com, that may send requests."
    )
    page: bool = Field(
        default=False,
        description="Whether a browser that opens the address of HTTP gets a page with the numbers of `labelstream"
        " status`, live.",
    )
    page_texts: bool = Field(
        default=False, description="Whether the page shows the begin of some texts beside their labels."
    )

    @property
    def has_token(self) -> bool:
        """Whether requests need a token."""
        return self.token is not None or self.token_file is not None

    @property
    def url(self) -> str:
        """Address for a client."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.cert_file else 'http'}://{host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether other machines cannot reach `host`."""
        return self.host == "localhost" or (_is_address(self.host) and ip_address(self.host).is_loopback)

    def problems(self) -> Iterator[str]:
        if self.token is not None and self.token_file is not None:
            yield "token and token_file are both given: remove one"
        if self.token is not None and not self.token.get_secret_value().strip():
            yield f"token is blank: set {ENV_PREFIX}HTTP__TOKEN to a long random text, or unset it"
        if not self.is_local and not self.has_token:
            yield (
                f"host {self.host} is open to other machines, and no token is set: set token_file or "
                f"{ENV_PREFIX}HTTP__TOKEN, or set host to 127.0.0.1"
            )
        if bool(self.cert_file) != bool(self.key_file):
            yield "cert_file and key_file need each other: set both, or remove both"
        if self.page_texts and not self.page:
            yield "page_texts shows nothing without page: set page to true, or remove page_texts"


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class LogSettings(Section):
    """Log lines of workers, replicas and the control plane, on stderr."""

    format: Literal["text", "json"] = Field(
        default="text", description="Format of a log line: text, or a JSON object for log collectors."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Lowest level of the log lines that are written."
    )


class TracingSettings(Section):
    """OpenTelemetry spans: where they go, and how many micro-batches have them."""

    endpoint: str | None = Field(
        default=None,
        pattern=_URL,
        description="URL that receives spans as OTLP over HTTP; null exports none. Headers, such as a login, come from"
        " the environment: OTEL_EXPORTER_OTLP_HEADERS.",
    )
    sample: float = Field(
        default=0.01, ge=0, le=1, description="Share of micro-batches, 0 to 1, that are traced; raise it to debug."
    )

    @field_validator("endpoint")
    @classmethod
    def _without_login(cls, endpoint: str | None) -> str | None:
        # The endpoint is readable in the actors' arguments and in the RayService.
        if endpoint is not None and "@" in urlsplit(endpoint).netloc:
            raise ValueError("holds a login; move the login to the environment variable OTEL_EXPORTER_OTLP_HEADERS")
        return endpoint


class Telemetry(Section):
    """The log and tracing settings, which every process of the application gets."""

    logs: LogSettings = Field(default=LogSettings(), description="Format and level of log lines.")
    tracing: TracingSettings = Field(default=TracingSettings(), description="Export of OpenTelemetry spans.")


class _Environment(EnvSettingsSource):
    """Leaves a variable with invalid JSON as text, so that validation reports it by its key."""

    def decode_complex_value(self, field_name: str, field: Any, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


class Settings(BaseSettings):
    """All settings of one application. Load them with `config_file.load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid", validate_default=True
    )

    kafka: KafkaSettings | None = Field(
        default=None, description="Kafka brokers, and the timeouts of all Kafka clients; required with `pipelines`."
    )
    models: dict[Name, ModelSettings] = Field(min_length=1, description="Models by name, at least one.")
    pipelines: dict[Name, PipelineSettings] = Field(
        default_factory=dict, description="Pipelines by name, at least one without `http`."
    )
    http: HttpSettings | None = Field(
        default=None,
        description="HTTP gateway, which serves all models; without the section nothing listens on HTTP.",
    )
    logs: LogSettings = Field(default=LogSettings(), description="Format and level of log lines.")
    tracing: TracingSettings = Field(default=TracingSettings(), description="Export of OpenTelemetry spans.")

    @property
    def telemetry(self) -> Telemetry:
        return Telemetry(logs=self.logs, tracing=self.tracing)

    @model_validator(mode="wrap")
    @classmethod
    def _whole(cls, tree: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """Report contradictions between valid sections even if another section is wrong."""
        if isinstance(tree, dict) and tree.get("http", ...) is None:
            tree = {**tree, "http": {}}  # `http:` without keys
        try:
            settings = validate(tree)
        except ValidationError as error:
            raise with_more(error, _problems_between_valid_parts(tree)) from None
        refuse(_problems_of_sections(settings))
        refuse(_problems_between(settings.kafka, settings.models, settings.pipelines, settings.http))
        return settings

    @classmethod
    def environment(cls) -> dict[str, Any]:
        """The settings that environment variables give, by section."""
        return _Environment(cls)()

    @property
    def required_kafka(self) -> KafkaSettings:
        """The section `kafka`. Raises ConfigError if there is none, which a config without pipelines may have."""
        if self.kafka is None:
            raise ConfigError("kafka", "is missing", f"add it: {_fix_of('kafka')}")
        return self.kafka

    @property
    def node_labels(self) -> dict[str, str]:
        """The labels of Ray nodes from which the brokers are reached; empty for all nodes."""
        return {} if self.kafka is None else dict(self.kafka.node_labels)

    def group_id(self, pipeline: str) -> str:
        """The consumer group of a pipeline: its `group_id`, or labelstream-NAME."""
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


def _fix_of(section: str) -> str:
    """The section's description as the end of a sentence."""
    return (Settings.model_fields[section].description or "").rstrip(".")


def _problems_of_sections(settings: Settings) -> Iterator[str]:
    if settings.pipelines and settings.kafka is None:
        yield f"kafka: is missing; add it: {_fix_of('kafka')}"
    if not settings.pipelines and settings.http is None:
        yield "pipelines: is missing; add pipelines, or add http to serve the models over HTTP"


def _group_id(name: str, pipeline: PipelineSettings) -> str:
    return pipeline.group_id or f"labelstream-{name}"


def _problems_between(
    kafka: KafkaSettings | None,
    models: Collection[str],
    pipelines: Mapping[str, PipelineSettings],
    http: HttpSettings | None,
) -> Iterator[str]:
    """Contradictions between sections; each text begins with its key."""
    if http is not None and http.default_model is not None:
        yield from _unknown_models("http.default_model", [http.default_model], models)
    groups: dict[str, str] = {}
    for name, pipeline in pipelines.items():
        yield from _unknown_models(f"pipelines.{name}.model", pipeline.allowed_models, models)
        if kafka is not None:
            yield from _problems_of_times(kafka, name, pipeline)
        group = _group_id(name, pipeline)
        if group in groups:
            yield f"pipelines: {groups[group]} and {name} share the group_id {group!r}: set a different one for each"
        groups.setdefault(group, name)
        yield from input_problems(name, pipelines)
        yield from route_problems(name, pipelines)
    yield from chain_problems(pipelines)


def _problems_between_valid_parts(tree: Any) -> Iterator[str]:
    """As `_problems_between`, for the valid sections of a tree that has an error."""
    models, pipelines = tree.get("models"), tree.get("pipelines", {})
    if not isinstance(models, dict) or not isinstance(pipelines, dict):
        return
    valid: dict[str, PipelineSettings] = {}
    for name, part in pipelines.items():
        if isinstance(found := _valid(PipelineSettings, part), PipelineSettings):
            valid[name] = found
        elif isinstance(part, dict) and isinstance(part.get("model"), str):
            yield from _unknown_models(f"pipelines.{name}.model", [part["model"]], models)
    http = None if tree.get("http") is None else _valid(HttpSettings, tree["http"])
    yield from _problems_between(_valid(KafkaSettings, tree.get("kafka")), models, valid, http)


def _valid(kind: type[S], part: Any) -> S | None:
    try:
        return kind.model_validate(part)
    except ValidationError:
        return None


def _unknown_models(key: str, named: Collection[str], known: Collection[str]) -> Iterator[str]:
    for model in named:
        if model not in known:
            yield (f"{key}: no model {model!r} under models; name one of {', '.join(sorted(map(str, known)))}")


def _problems_of_times(kafka: KafkaSettings, name: str, pipeline: PipelineSettings) -> Iterator[str]:
    if 4 * pipeline.transaction_interval_ms > kafka.transaction_timeout_ms:
        yield (
            f"pipelines.{name}.transaction_interval_ms: {pipeline.transaction_interval_ms} is more "
            f"than a quarter of kafka.transaction_timeout_ms ({kafka.transaction_timeout_ms}), "
            "after which the broker aborts a transaction: lower the first or raise the second"
        )
    if 2_000 * pipeline.rebalance_drain_s > kafka.max_poll_interval_ms:
        yield (
            f"pipelines.{name}.rebalance_drain_s: {pipeline.rebalance_drain_s:g} s is more than half "
            f"of kafka.max_poll_interval_ms ({kafka.max_poll_interval_ms}), after which the "
            "group removes a worker: lower the first or raise the second"
        )
