"""The fields of messages, results and dead letters, and the reasons of dead letters, from `labelstream.schemas`."""

import ast
import inspect
from enum import StrEnum
from typing import Any

from docs.generate.json_types import resolve, type_words
from docs.generate.markdown import code, table, with_code
from labelstream.schemas.dead_letter import DeadLetterHeaders, Reason, Stage
from labelstream.schemas.export import json_schema
from labelstream.schemas.request_error import RequestReason
from labelstream.workers.engine.description import TaskName


def message_fields() -> str:
    """The fields of an input message."""
    schema = json_schema("message")
    return _fields(schema, schema["properties"], schema["required"])


def result_fields() -> str:
    """The fields that every result has, then those of each task."""
    schema = json_schema("result")
    kinds = [resolve(schema, kind)["properties"] for kind in schema["oneOf"]]
    common = {name: own for name, own in kinds[0].items() if all(name in kind for kind in kinds)}
    tasks = [type_words(schema, kind["task"]) for kind in kinds]
    parts = [_fields(schema, {**common, "task": {**kinds[0]["task"], "enum": [task.value for task in TaskName]}})]
    for task, kind in zip(tasks, kinds, strict=True):
        own = {name: value for name, value in kind.items() if name not in common}
        parts.append(f"With `task` {task}:\n\n{_fields(schema, own)}")
    return "\n\n".join(parts)


def dead_letter_headers() -> str:
    """The headers that a dead letter gets."""
    rows = []
    for field in DeadLetterHeaders.model_fields.values():
        always = "yes" if field.is_required() else "no"
        rows.append([code(str(field.serialization_alias)), always, with_code(field.description or "")])
    return table(["header", "always there", "meaning"], rows)


def reasons() -> str:
    """Each reason, with the docstring behind it in the code."""
    return _members(Reason, "reason")


def request_reasons() -> str:
    """Each reason of a request alone, with the docstring behind it in the code."""
    return _members(RequestReason, "reason")


def stages() -> str:
    """Each stage, with the docstring behind it in the code."""
    return _members(Stage, "stage")


def _fields(schema: dict[str, Any], fields: dict[str, Any], required: list[str] | None = None) -> str:
    rows = []
    for name, own in fields.items():
        cells = [code(name), type_words(schema, own)]
        rows.append(
            [
                *cells,
                *(["yes" if name in required else "no"] if required else []),
                with_code(own.get("description", "")),
            ]
        )
    return table(["field", "value", *(["required"] if required else []), "meaning"], rows)


def _members(kind: type[StrEnum], head: str) -> str:
    """The string behind an assignment is the member's docstring, as editors read it."""
    [definition] = ast.parse(inspect.getsource(kind)).body
    assert isinstance(definition, ast.ClassDef)
    meaning: dict[str, str] = {}
    for member, behind in zip(definition.body, definition.body[1:], strict=False):
        match member, behind:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(text))):
                meaning[name] = " ".join(text.split())
    return table([head, "meaning"], [[code(member), meaning[name]] for name, member in kind.__members__.items()])
