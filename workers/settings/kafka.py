"""The section `kafka`: brokers, TLS and login, timeouts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from labelstream.workers.section import Section
from labelstream.workers.settings.environment import ENV_PREFIX, Secret
from labelstream.workers.settings.forms import Label, Server, Servers


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
