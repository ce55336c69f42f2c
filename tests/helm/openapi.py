"""Objects against the OpenAPI schemas of a Kubernetes release, as its API server checks them."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

FILES = {
    "v1": "api__v1",
    "batch/v1": "apis__batch__v1",
    "networking.k8s.io/v1": "apis__networking.k8s.io__v1",
    "policy/v1": "apis__policy__v1",
}


def problems(folder: Path, what: dict[str, Any]) -> list[str]:
    """What is wrong with an object of a kind that Kubernetes itself has; unknown fields included."""
    schema_of = {
        f"{kind['group']}/{kind['version']}/{kind['kind']}".lstrip("/"): name
        for name, schema in _schemas(folder, what["apiVersion"]).items()
        for kind in schema.get("x-kubernetes-group-version-kind", [])
    }
    name = schema_of[f"{what['apiVersion']}/{what['kind']}"]
    document = {"components": {"schemas": _schemas(folder, what["apiVersion"])}}
    registry = Registry().with_resource("urn:k8s", Resource.opaque(document))
    schema = {"$ref": f"urn:k8s#/components/schemas/{name}"}
    validator = Draft202012Validator(schema, registry=registry)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(what)]


@cache
def _schemas(folder: Path, api_version: str) -> dict[str, Any]:
    text = (folder / f"{FILES[api_version]}_openapi.json").read_text(encoding="utf-8")
    return {name: _strict(schema) for name, schema in json.loads(text)["components"]["schemas"].items()}


def _strict(node: Any) -> Any:
    """Objects with named properties have no others; `#/..` points into the one document."""
    if isinstance(node, list):
        return [_strict(part) for part in node]
    if not isinstance(node, dict):
        return node
    strict = {key: _strict(part) for key, part in node.items() if key not in ("default", "format")}
    if isinstance(strict.get("$ref"), str):
        strict["$ref"] = "urn:k8s" + strict["$ref"]
    if node.get("type") == "object" and "properties" in node:
        strict["additionalProperties"] = False
    return strict
