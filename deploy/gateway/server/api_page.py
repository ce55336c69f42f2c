"""The page of all requests, made of the OpenAPI description. Loads nothing: FastAPI's own page loads scripts of
another host.
"""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
pre { overflow: auto; padding: .75rem; border: 1px solid; } code, pre { font-family: ui-monospace, monospace; }
:root { color-scheme: light dark; }
"""


def render(openapi: Mapping[str, Any]) -> str:
    """One HTML page without scripts."""
    parts = "".join(_operations(openapi))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>Labelstream HTTP</title>'
        f"<style>{_STYLE}</style></head><body><h1>Labelstream HTTP</h1>"
        f'<p>The same as <a href="openapi.json">OpenAPI</a>.</p>{parts}</body></html>'
    )


def _operations(openapi: Mapping[str, Any]) -> Iterator[str]:
    schemas = openapi.get("components", {}).get("schemas", {})
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            yield f"<h2><code>{escape(method.upper())} {escape(path)}</code></h2>"
            yield f"<p>{escape(operation.get('description') or operation.get('summary', ''))}</p>"
            content = operation.get("requestBody", {}).get("content", {})
            for kind, body in content.items():
                schema = _resolved(body.get("schema", {}), schemas)
                yield f"<p>Body: {escape(kind)}</p><pre>{escape(json.dumps(schema, indent=2))}</pre>"


def _resolved(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Any:
    return schemas.get(str(schema.get("$ref", "")).rpartition("/")[2], schema)
