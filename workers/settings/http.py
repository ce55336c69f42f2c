"""The section `http`: the gateway that answers HTTP requests."""

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from pydantic import Field

from labelstream.workers.section import Section
from labelstream.workers.settings.environment import ENV_PREFIX, Secret
from labelstream.workers.settings.forms import HostName, Name, Origin
from labelstream.workers.settings.ranges import Range, Workers


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
