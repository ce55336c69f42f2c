"""The OpenAPI description of a gateway with a token."""

from collections.abc import Callable, Collection
from typing import Any

_SCHEME = "token"


def with_token(openapi: Callable[[], dict[str, Any]], open_paths: Collection[str]) -> Callable[[], dict[str, Any]]:
    """Says in the description that `openapi` returns which operations need the token. `open_paths`: do not need it."""

    def described() -> dict[str, Any]:
        found = openapi()
        found.setdefault("components", {})["securitySchemes"] = {_SCHEME: {"type": "http", "scheme": "bearer"}}
        found["security"] = [{_SCHEME: []}]
        for path in found["paths"].keys() & set(open_paths):
            found["paths"][path]["get"]["security"] = []
        return found

    return described
