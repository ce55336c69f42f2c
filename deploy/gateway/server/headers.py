"""The headers of an ASGI request."""

from starlette.types import Scope


def headers_of(scope: Scope) -> dict[str, str]:
    """Values by lower-case name; the last value of a repeated header."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
