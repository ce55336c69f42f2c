"""Collect the texts of errors from the code: the arguments of each error that is made, with names for what varies."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple, get_args

from docs.generate.module_texts import ROOT, UNKNOWN, ModuleTexts, Scope, parsed
from labelstream.workers.config.keys import NAME, known_keys, without_none

PARTS = ("workers", "deploy")
_BEFORE_FIX = re.compile(
    "; |: (?=(?:add|bring|free|give|install|lower|make|name|raise|remove|set|start|try|use)(?: |=))"
)
_SKIPPED_LEVELS = {"INFO", "WARNING"}


class ErrorText(NamedTuple):
    """One error: its class, the module that makes it, and its text; `fix` is empty where the text has none."""

    error: str
    module: str
    problem: str
    fix: str


@cache
def error_texts() -> tuple[ErrorText, ...]:
    """Every error that the code of `PARTS` makes with a text of its own, in the order of the code."""
    return tuple(dict.fromkeys(text for path in _files() for text in _of_module(path)))


@cache
def _files() -> list[Path]:
    return [path for part in PARTS for path in sorted((ROOT / part).rglob("*.py"))]


@cache
def _classes() -> dict[str, str]:
    """The errors that take one text, by the names of their own subclasses as well."""
    own = {"StartError": "StartError", "ModelError": "ModelError"}
    for node in (node for path in _files() for node in ast.walk(parsed(path))):
        match node:
            case ast.ClassDef(name=name, bases=[ast.Name(id="StartError" | "ModelError" as base)]):
                own[name] = base
    return own


def _of_module(path: Path) -> Iterator[ErrorText]:
    code = ModuleTexts(path)
    for scope, node in code.nodes():
        for error, text in _made(code, scope, node):
            problem, fix = _split(text)
            said = problem.partition(": ")[2] or problem
            if re.search("[a-z]{2}", re.sub(r"\(.*?\)", "", said)):  # else all of it varies
                yield ErrorText(error, str(path.relative_to(ROOT)), problem, fix)


def _split(text: str) -> tuple[str, str]:
    """What is wrong, and what to do."""
    for between in _BEFORE_FIX.finditer(text):
        problem, fix = text[: between.start()], text[between.end() :]
        if problem.count("(") == problem.count(")"):
            return problem, fix
    return text, ""


def _made(code: ModuleTexts, scope: Scope, node: ast.AST) -> Iterator[tuple[str, str]]:
    match node:
        case ast.Call(func=ast.Name(id=name), args=[text]) if error := _classes().get(name):
            yield from ((error, found) for found in code.texts(text, scope.function))
        case ast.Call(func=ast.Name(id="ConfigError"), args=[key, problem, *fix]):
            yield from (("ConfigError", found) for found in _joined(code, scope, [key, problem, *fix[:1]]))
        case ast.Call(func=ast.Name(id="Finding"), args=[key, text, *level]) if not _is_minor(level):
            yield from (("StartError", found) for found in _joined(code, scope, [key, text]))
        case ast.Yield(value=ast.expr() as text) if scope.function and scope.function.name == "problems":
            section = ast.Constant(_sections().get(scope.owner, UNKNOWN))
            yield from (("ConfigError", found) for found in _joined(code, scope, [section, text]))
        case ast.Yield(value=ast.JoinedStr() as text) if scope.function and "problems" in scope.function.name:
            yield from (("ConfigError", found) for found in code.texts(text, scope.function))


def _joined(code: ModuleTexts, scope: Scope, parts: list[ast.expr]) -> Iterator[str]:
    for key, problem, *fix in product(*(code.texts(part, scope.function) for part in parts)):
        yield "; ".join([f"{key}: {problem}" if key else problem, *fix])


def _is_minor(level: list[ast.expr]) -> bool:
    return any(ast.unparse(one).removeprefix("logging.") in _SKIPPED_LEVELS for one in level)


@cache
def _sections() -> dict[str, str]:
    """The key of each section of the settings, by the name of its class."""
    keys = {path: without_none(field.annotation) for path, field in reversed(known_keys().items())}
    named = {path[:-2]: (*path[:-2], NAME) for path in keys if len(path) > 2 and path[-2] == NAME}
    found = {getattr(kind, "__name__", ""): ".".join(path) for path, kind in keys.items()}
    dicts = {get_args(keys[path])[1].__name__: ".".join(whole) for path, whole in named.items()}
    return {**found, **dicts, "ModelOptions": dicts["ModelSettings"]}
