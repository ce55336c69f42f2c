"""The settings: one frozen, validated tree from one YAML file. The environment overrides every key.

`LABELSTREAM_<PATH>`, with `__` between the levels, overrides the file: `LABELSTREAM_KAFKA__BOOTSTRAP_SERVERS`,
`LABELSTREAM_MODELS__SENTIMENT__MAX_BATCH_TOKENS`. `config_file` reads both. Secrets come from the environment or from
files of their own, never from the YAML file.
"""

from collections.abc import Iterator
from typing import Any, Self

from pydantic import Field, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from labelstream.workers.errors import ConfigError
from labelstream.workers.section import refuse, with_more
from labelstream.workers.settings.contradictions import group_id_of, problems_between, problems_between_valid_parts
from labelstream.workers.settings.environment import ENV_PREFIX, Environment
from labelstream.workers.settings.forms import Name
from labelstream.workers.settings.http import HttpSettings
from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.settings.model import ModelSettings
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.settings.telemetry import LogSettings, Telemetry, TracingSettings


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
            raise with_more(error, problems_between_valid_parts(tree)) from None
        refuse(_problems_of_sections(settings))
        refuse(problems_between(settings.kafka, settings.models, settings.pipelines, settings.http))
        return settings

    @classmethod
    def environment(cls) -> dict[str, Any]:
        """The settings that environment variables give, by section."""
        return Environment(cls)()

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
        return group_id_of(pipeline, self.pipelines[pipeline])

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (Environment(settings_cls), init_settings)


def _fix_of(section: str) -> str:
    """The section's description as the end of a sentence."""
    return (Settings.model_fields[section].description or "").rstrip(".")


def _problems_of_sections(settings: Settings) -> Iterator[str]:
    if settings.pipelines and settings.kafka is None:
        yield f"kafka: is missing; add it: {_fix_of('kafka')}"
    if not settings.pipelines and settings.http is None:
        yield "pipelines: is missing; add pipelines, or add http to serve the models over HTTP"
