"""The token that clients of the gateway send."""

from labelstream.workers.config_file import secret_of
from labelstream.workers.errors import ConfigError
from labelstream.workers.settings.http import HttpSettings


def token_of(http: HttpSettings) -> str | None:
    """The token of all requests, from the environment or from the file; None if there is none. Raises ConfigError."""
    token = secret_of(http.token, http.token_file, "http.token_file")
    if token is None:
        return None
    token = token.strip()
    if not token:
        raise ConfigError("http.token_file", f"{http.token_file} is empty", "write a long random text into the file")
    if not token.isprintable():  # no client can send it in a header
        key = "http.token" if http.token_file is None else "http.token_file"
        raise ConfigError(key, "has several lines or control characters", "write one line of text")
    return token
