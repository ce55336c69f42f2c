"""What the expressions of a module may say as text, with names in capitals for what varies."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
UNKNOWN = "…"
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Scope(NamedTuple):
    """Where a node stands: the name of its class, and its function."""

    owner: str
    function: Function | None


class ModuleTexts:
    """The code of the module at `path`."""

    def __init__(self, path: Path) -> None:
        self._tree = parsed(path)
        self._functions = {node.name: node for node in ast.walk(self._tree) if isinstance(node, Function)}
        self._constants = {**dict(_imported(self._tree)), **dict(_assigned(self._tree.body))}

    def nodes(self) -> Iterator[tuple[Scope, ast.AST]]:
        """Every node with its scope."""
        yield from _walk(self._tree, Scope("", None))

    def texts(self, value: ast.expr, function: Function | None) -> list[str]:
        """Each text that `value`, an expression in `function`, may be."""
        match value:
            case ast.Constant(value=str(text)):
                return [text]
            case ast.JoinedStr(values=parts):
                return ["".join(found) for found in product(*(self.texts(part, function) for part in parts))]
            case ast.FormattedValue(value=inner):
                return [_alternatives(self.texts(inner, function))]
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return ["".join(found) for found in product(self.texts(left, function), self.texts(right, function))]
            case ast.IfExp(body=one, orelse=other):
                return [*self.texts(one, function), *self.texts(other, function)]
            case ast.BoolOp(values=values):
                return [text for one in values for text in self.texts(one, function)]
            case ast.Name(id=name):
                return self._of_name(name, function)
            case ast.Call(func=ast.Name(id=name)) if returned := self._returned(name):
                return [text for one in returned for text in self.texts(one, self._functions[name])]
        return [_placeholder(value)]

    def _of_name(self, name: str, function: Function | None) -> list[str]:
        inside = [value for found, value in _assigned(ast.walk(function)) if found == name] if function else []
        values = inside or [value for known, value in self._constants.items() if known == name]
        texts = [text for value in values if self._is_text(value) for text in self.texts(value, None)]
        return texts or [_placeholder(ast.Name(name))]

    def _is_text(self, value: ast.expr) -> bool:
        match value:
            case ast.Call(func=ast.Name(id=name)):
                return bool(self._returned(name))
        return _is_text(value)

    def _returned(self, name: str) -> list[ast.expr]:
        nodes = ast.walk(self._functions[name]) if name in self._functions else ()
        return [node.value for node in nodes if isinstance(node, ast.Return) and node.value and _is_text(node.value)]


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of the module at `path`."""
    return ast.parse(path.read_text(encoding="utf-8"))


def _walk(node: ast.AST, scope: Scope) -> Iterator[tuple[Scope, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        yield scope, child
        inner = scope._replace(owner=child.name) if isinstance(child, ast.ClassDef) else scope
        yield from _walk(child, inner._replace(function=child) if isinstance(child, Function) else inner)


def _assigned(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, value
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                pairs = zip(names, values, strict=True)
                yield from ((name.id, value) for name, value in pairs if isinstance(name, ast.Name))


def _imported(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """The constants that come from other modules of the product."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("labelstream."):
            path = ROOT.joinpath(*node.module.split(".")[1:]).with_suffix(".py")
            names = {alias.name for alias in node.names if alias.name.isupper()}
            yield from ((name, value) for name, value in _assigned(parsed(path).body if names else ()) if name in names)


def _is_text(value: ast.expr) -> bool:
    match value:
        case ast.Constant(value=str()) | ast.JoinedStr():
            return True
        case ast.BinOp(left=left, op=ast.Add()):
            return _is_text(left)
        case ast.IfExp(body=one, orelse=other):
            return _is_text(one) or _is_text(other)
    return False


def _alternatives(texts: list[str]) -> str:
    """Inside of another text; of a text and its own beginning the whole one."""
    texts = [text for text in texts if not any(other != text and other.startswith(text) for other in texts)]
    short = all(0 < len(text) < 40 for text in texts)
    first, *others = dict.fromkeys(texts)
    return " or ".join([first, *(text.removeprefix("; ") for text in others)]) if short or not others else UNKNOWN


def _placeholder(value: ast.expr) -> str:
    """What stands for a value that varies: its name in capitals."""
    match value:
        case ast.Name(id=name) | ast.Attribute(attr=name) if not name.startswith("__"):
            return name.strip("_").upper()
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name.upper()
        case (
            ast.Call(func=ast.Attribute(attr="join"), args=[inner])
            | ast.Call(func=ast.Name(id="sorted" | "escape" | "str" | "repr" | "map"), args=[*_, inner])
        ):
            return _placeholder(inner)
    return UNKNOWN
